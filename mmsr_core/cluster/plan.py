"""What goes where when some of it lies at URLs: decided before any work, or none is done."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mmsr_core.cluster import stores
from mmsr_core.cluster.errand import Errand
from mmsr_core.cluster.stores import Remote, is_url, join
from mmsr_core.errors import ImageError
from mmsr_core.runtime.files import Naming
from mmsr_core.runtime.files.listing import Found, list_files
from mmsr_core.runtime.files.tasks import Existing

Place = Path | str
"""A path, or a URL."""


@dataclass
class Errands:
    """What is to be done, what is done already, and what can't be."""

    errands: list[Errand] = field(default_factory=list)
    finished: list[Errand] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """Which files are upscaled, and where the answers go.

    `inputs` are paths and URLs, `listed` the lines of a list; `output` and `map` are places.
    `naming` names the answers; its own output is not looked at. `images` and `others` are
    suffixes, as of `list_files`.
    """

    inputs: Sequence[Place]
    listed: Sequence[str] | None
    output: Place
    map: Place | None
    naming: Naming
    images: Collection[str]
    others: Collection[str]


def plan_errands(request: Request, existing: Existing, check: Callable[[Errand], None]) -> Errands:
    """Find every input and give it its output; ImageError before any work when that can't be.

    `check` raises for an errand whose answer can't be written.
    """
    plan = Errands()
    found = list(_found(request, plan))
    places = [*request.inputs, *(request.listed or ())]
    one_file = (
        request.listed is None
        and len(places) == len(found) == 1
        and _is_file(request.inputs[0], found[0])
    )
    made = {_errand(one, request, one_file): one.made for one in found}
    writers: dict[str, Errand] = {}
    for errand in made:
        for written in errand.written():
            if written in writers or written == errand.source:
                _refuse_clash(written, errand, writers.get(written))
            writers[written] = errand
        check(errand)
    for errand in [errand for errand in made if errand.source in writers]:
        if existing != "resume":
            raise ImageError(f"{errand.source}: is an input itself; choose another output")
        del made[errand]  # the answer of an earlier run, in a folder of both
    there = _there(request, one_file, writers)
    if there and existing == "refuse":
        first = next(written for written in writers if written in there)
        more = f" and {len(there) - 1} more exist" if len(there) > 1 else " exists"
        raise ImageError(
            f"{first}{more} already; --overwrite replaces what exists, "
            "--resume skips what is finished"
        )
    for errand, time in made.items():
        done = existing == "resume" and all(
            written in there and _is_later(there[written], time) for written in errand.written()
        )
        (plan.finished if done else plan.errands).append(errand)
    return plan


def _found(request: Request, plan: Errands) -> Iterable[Remote]:
    """Every file that is meant, once; what can't be looked at goes to the plan."""
    far = [place for place in request.inputs if isinstance(place, str)]
    near = [place for place in request.inputs if isinstance(place, Path)]
    lines = None if request.listed is None else [x for x in request.listed if not is_url(x)]
    known: dict[str, Remote] = {}
    for url in far:
        some = list(stores.find(url, request.images, request.others))
        if not some:
            raise ImageError(f"{url}: no image there ({' '.join(request.images)})")
        known |= {one.url: one for one in some}
    known |= {url: stores.remote(url, url) for url in request.listed or () if is_url(url)}
    if near or lines:
        aside = request.output if isinstance(request.output, Path) else None
        listing = list_files(near, lines, request.images, request.others, aside)
        plan.refused += [(str(path), reason) for path, reason in listing.refused]
        for file in listing.found:
            url = str(file.source.absolute())
            known[url] = Remote(url, PurePosixPath(file.place), file.source.stat().st_mtime)
    outside = request.output not in request.inputs  # else it is a folder of both
    for one in known.values():
        if outside and one.url.startswith(f"{str(request.output).rstrip('/')}/"):
            continue
        if one.place.name and ".." not in one.place.parts:
            yield one
        else:
            plan.refused.append((one.url, "its name is not one that a file can have"))


def _is_file(place: Place, found: Remote) -> bool:
    return place.is_file() if isinstance(place, Path) else place == found.url


def _errand(one: Remote, request: Request, one_file: bool) -> Errand:
    place = PurePosixPath(request.naming.place(Found(Path(one.place), Path(one.place))))
    if one_file and _is_named(request.output):
        target = _below(request.output)
    else:
        target = _below(request.output, place)
    painted = None
    if request.map is not None:
        painted = _below(request.map, *(() if one_file else (place.with_suffix(".png"),)))
    return Errand(one.url, target, painted)


def _is_named(output: Place) -> bool:
    """Whether an output is a file's name and no folder's."""
    if isinstance(output, str):
        return stores.name_of(output).suffix != ""
    return output.suffix != "" and not output.is_dir()


def _below(top: Place, *places: PurePosixPath) -> str:
    if isinstance(top, str):
        return join(top, *places) if places else top
    return str(top.joinpath(*places).absolute())


def _refuse_clash(written: str, errand: Errand, other: Errand | None) -> None:
    if other is None:
        raise ImageError(f"{written}: is an input itself; choose another output")
    if other is errand:
        raise ImageError(f"{written}: is the picture's place; choose another for --map")
    raise ImageError(
        f"{other.source} and {errand.source} would both be written to {written}; "
        "name their common folder as the input, or use --name '{stem}-{suffix}'"
    )


def _there(request: Request, one_file: bool, writers: Collection[str]) -> dict[str, float | None]:
    """What is written already, and when; ImageError where nothing can be written at all."""
    there: dict[str, float | None] = {}
    for top in (request.output, request.map):
        if isinstance(top, str):
            named = one_file and _is_named(top)
            stores.check_writable(top.rpartition("/")[0] if named else top)
            there |= {url: time for url, time in stores.made_below(top).items() if url in writers}
    for written in writers:
        if not is_url(written) and (path := Path(written)).exists():
            there[written] = path.stat().st_mtime
    return there


def _is_later(answer: float | None, source: float | None) -> bool:
    """Whether an answer is no older than its source, as far as their stores know."""
    return answer is None or source is None or answer >= source
