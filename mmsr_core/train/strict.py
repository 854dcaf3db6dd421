"""Strict tables: a misspelt key is an error that names the nearest right one."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError

from mmsr_core.errors import no_such


class Strict(BaseModel):
    """A frozen table that refuses unknown keys and numbers that are none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def problem(
    error: ValidationError,
    root: type[BaseModel],
    tables: Mapping[str | int, type[BaseModel]],
    within: tuple[str | int, ...] = (),
) -> str:
    """The first mistake as one line; `tables` names the nested tables, for their keys."""
    errors = error.errors(include_url=False)
    # A misspelt key may also be a missing one: the misspelling says more.
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    parts = [*within, *first["loc"]]
    where = ".".join(map(str, parts))
    if first["type"] == "extra_forbidden":
        *parents, key = parts
        # List indices and class names lie between the tables.
        known = [tables[parent] for parent in parents if parent in tables]
        keys = list((known[-1] if known else root).model_fields)
        table = ".".join(map(str, parents)) or "recipe"
        return no_such("key", str(key), keys, f"[{table}] takes")
    message = str(first["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
