"""An index: the JSON file in which somebody lists models for others to download."""

import json
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urljoin

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mmsr_core.errors import BundleError, no_such
from mmsr_core.runtime.bundle import Name, Sha256, Version
from mmsr_registry.download import Downloads

INDEX_FORMAT = 1
INDEX_LIMIT = 4 * 2**20

Text = Annotated[str, StringConstraints(max_length=500)]


class _Facts(BaseModel):
    """Unknown keys are left alone, so that an index may say more than this mmsr reads."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Entry(_Facts):
    """A model that can be downloaded."""

    name: Name
    version: Version
    url: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    """Of a zip file, or of a manifest.json beside its graphs; absolute, or seen from the index."""
    sha256: Sha256
    """Of what lies at `url`: of the zip file, or of the manifest, which pins the graphs."""
    size: Annotated[int, Field(ge=1, le=2**40)]
    """Bytes to download."""
    licence: Text
    summary: Text = ""

    @property
    def newness(self) -> tuple[int, ...]:
        """Sorts by version."""
        return tuple(map(int, self.version.split(".")))

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class Index(_Facts):
    """What an index file says."""

    format: Literal[1]
    models: Annotated[tuple[Entry, ...], Field(max_length=10_000)]

    def find(self, spec: str) -> Entry:
        """The entry that `name` (its newest version) or `name@version` means.

        Raises BundleError with the nearest name.
        """
        name, at, version = spec.partition("@")
        named = [entry for entry in self.models if entry.name == name]
        if not named:
            known = {entry.name for entry in self.models}
            raise BundleError(no_such("model", name, known, "in the index"))
        found = [entry for entry in named if not at or entry.version == version]
        if not found:
            known = {entry.version for entry in named}
            raise BundleError(no_such(f"version of {name}", version, known, "in the index"))
        return max(found, key=lambda entry: entry.newness)

    def search(self, words: str) -> list[Entry]:
        """The entries with every one of the words in name, summary or licence, by name."""
        wanted = words.lower().split()
        return sorted(
            (
                entry
                for entry in self.models
                if all(w in f"{entry} {entry.summary} {entry.licence}".lower() for w in wanted)
            ),
            key=lambda entry: (entry.name, entry.newness),
        )


def read_index(source: str, downloads: Downloads) -> Index:
    """The index at an address or in a file; its entries' addresses become absolute.

    Raises BundleError.
    """
    if "://" not in source:
        if not Path(source).is_file():
            raise BundleError(f"{source}: there is no such index")
        try:
            with Path(source).open("rb") as file:
                data = file.read(INDEX_LIMIT + 1)
        except OSError as error:
            raise BundleError(f"{source}: cannot read it ({error.strerror})") from None
        if len(data) > INDEX_LIMIT:
            raise BundleError(f"{source}: larger than {INDEX_LIMIT >> 20} MiB, not an index")
        return _parse(data, source)
    path = downloads.fetch(source, limit=INDEX_LIMIT)
    try:
        index = _parse(path.read_bytes(), source)
    finally:
        downloads.discard(path)
    models = [
        entry.model_copy(update={"url": urljoin(source, entry.url)}) for entry in index.models
    ]
    return index.model_copy(update={"models": tuple(models)})


def _parse(data: bytes, source: str) -> Index:
    try:
        facts = json.loads(data)
        json.dumps(facts, ensure_ascii=False).encode()  # half a character is no text
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{source}: not JSON ({error})") from None
    version = facts.get("format") if isinstance(facts, dict) else None
    if isinstance(version, int) and version > INDEX_FORMAT:
        raise BundleError(f"{source}: an index of a newer format; upgrade mmsr")
    try:
        return Index.model_validate(facts)
    except (ValidationError, RecursionError) as error:
        if isinstance(error, RecursionError):
            raise BundleError(f"{source}: nested too deeply") from None
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{source}: not an index ({where}: {first['msg']})") from None
