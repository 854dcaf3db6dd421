"""Which file becomes which when a codec is run over several."""

from collections.abc import Sequence
from pathlib import Path

from mmsr_core.errors import ImageError
from mmsr_core.runtime.image.formats import IMAGE_SUFFIXES


def plan_places(
    inputs: Sequence[Path],
    output: Path,
    suffix: str,
    suffixes: Sequence[str],
    overwrite: bool,
    taken: Sequence[str] = IMAGE_SUFFIXES,
) -> list[tuple[Path, Path]]:
    """(source, target) of every input; of folders, the files with one of the suffixes `taken`.

    `output` is a file when it has one of `suffixes` and there is one input; otherwise a folder,
    in which names end in `suffix` and folders are kept. ImageError, before any work, for an input
    that isn't there, two of one target, and a target that exists unless `overwrite`.
    """
    found: list[tuple[Path, Path]] = []
    for path in inputs:
        if path.is_dir():
            for source in sorted(path.rglob("*")):
                if source.suffix.lower() in taken and source.is_file():
                    name = source.relative_to(path).with_suffix(suffix)
                    found.append((source, output / name))
        elif path.exists():
            found.append((path, output / path.with_suffix(suffix).name))
        else:
            raise ImageError(f"{path}: no such file or folder")
    if not found:
        raise ImageError(f"{inputs[0]}: no file to be read in it ({' '.join(taken)})")
    alone = len(inputs) == 1 and not inputs[0].is_dir() and not output.is_dir()
    if alone and output.suffix:
        if output.suffix.lower() not in suffixes:
            raise ImageError(f"{output}: name it {' or '.join(suffixes)}, or a folder")
        found = [(found[0][0], output)]
    _check(found, overwrite)
    return found


def _check(places: list[tuple[Path, Path]], overwrite: bool) -> None:
    by_target: dict[Path, Path] = {}
    for source, target in places:
        if target in by_target:
            raise ImageError(f"{source}: {by_target[target]} becomes {target} as well; rename one")
        by_target[target] = source
        if target.is_dir():
            raise ImageError(f"{target}: is a folder; name a file in it")
        if target.exists() and (not overwrite or target.samefile(source)):
            raise ImageError(f"{target}: exists already; --overwrite replaces it")
