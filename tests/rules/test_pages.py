"""The pages hang together: links lead somewhere, and nothing that exists is passed over."""

import re
from importlib import import_module
from pathlib import Path

import click
import pytest

from mmsr_core.cli import COMMANDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
TEXTS = {page: page.read_text() for page in PAGES}
INDEX = TEXTS[DOCS / "README.md"]
LINKS = [
    (page, link)
    for page, text in TEXTS.items()
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    if not link.startswith(("https://", "http://"))
]
HEAVIEST = 400_000
"""Bytes of one picture: the whole repository is cloned by everyone."""


def anchors(page):
    """What a page's headings are called in a link, as forges do it."""
    headings = re.findall(r"^#+ (.+)$", TEXTS[page], re.M)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in headings}


def options():
    """Every command that can be called, with its options."""
    for name in COMMANDS:
        command = import_module(f"mmsr_core.cli.{name}").command
        for part in getattr(command, "commands", {"": command}).values():
            for option in part.params:
                if isinstance(option, click.Option) and not option.hidden:
                    longest = max(option.opts, key=len)
                    if longest != "--help":
                        yield name, longest


@pytest.mark.parametrize(("page", "link"), LINKS, ids=lambda value: getattr(value, "name", value))
def test_a_link_leads_somewhere(page, link):
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists()
    assert not anchor or anchor in anchors(target)


@pytest.mark.parametrize("name", sorted(page.name for page in DOCS.glob("[a-z]*.md")))
def test_every_page_is_in_the_index(name):
    assert f"({name}" in INDEX


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_index(name):
    assert f"`mmsr {name}`" in INDEX


@pytest.mark.parametrize(("name", "option"), sorted(set(options())))
def test_every_option_is_named_where_its_command_is(name, option):
    told = [text for text in TEXTS.values() if re.search(rf"\bmmsr {name}\b", text)]
    assert any(re.search(rf"{option}(?![\w-])", text) for text in told)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_waits_for_its_figures(page):
    assert not re.search(r"^[A-Z]{5,}:?$|@@|\b(TODO|FIXME|TBD)\b", TEXTS[page], re.M)


@pytest.mark.parametrize("path", sorted((DOCS / "images").glob("*.[jp]*g")), ids=lambda p: p.name)
def test_every_picture_is_shown_and_light(path):
    assert any(f"images/{path.name})" in text for text in TEXTS.values())
    assert path.stat().st_size < HEAVIEST
