"""`mmsr plugins`: the installed components, and who brings them."""

import json

import click

from mmsr_core.cli.table import table


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the installed components and the distributions that bring them.

    A plugin that can't be loaded is listed with its reason; everything else works. Exits 1 when
    two plugins claim one name.
    """
    from mmsr_core.errors import PluginError
    from mmsr_core.plugin.catalog import Catalog

    catalog = Catalog.load()
    components = [
        {
            "kind": entry.kind,
            "name": entry.component.name,
            "owner": entry.owner,
            "summary": entry.component.summary,
        }
        for entry in catalog.entries
    ]
    broken = [
        {"entry_point": plugin.entry_point, "owner": plugin.owner, "reason": plugin.reason}
        for plugin in catalog.broken
    ]
    conflicts = catalog.conflicts()
    if as_json:
        found = {"components": components, "broken": broken, "conflicts": conflicts}
        click.echo(json.dumps(found, indent=2))
    else:
        heads = ("kind", "name", "owner", "summary")
        rows = [[component[head] for head in heads] for component in components]
        rows += [["broken", p["entry_point"], p["owner"], p["reason"]] for p in broken]
        click.echo(table(heads, rows) if rows else "no plugin is installed: pip install mmsr")
    if conflicts:
        raise PluginError("; ".join(conflicts))
