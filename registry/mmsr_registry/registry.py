"""The registry: `<root>/<name>/<version>/manifest.json`, in the home root, then on the shelf."""

import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmsr_core.errors import BundleError, no_such
from mmsr_core.runtime.bundle import MANIFEST, Facts, Sealed, open_any, write_files

SHELF = Path(__file__).parent / "shelf"
VERSION = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}")


@dataclass(frozen=True)
class Model:
    """A stored bundle, by the names of its directories; its files have not been looked at."""

    name: str
    version: str
    directory: Path
    shipped: bool
    """True on the shelf, False in the home root."""

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def newness(self) -> tuple[tuple[int, ...], bool]:
        """Sorts by version number; of two equal versions the home root's is newer."""
        return tuple(map(int, self.version.split("."))), not self.shipped


class Registry:
    """Models by name; `$MMSR_HOME` (by default ~/.local/share/mmsr) is the home root."""

    def __init__(self, home: Path | None = None, shelf: Path | None = None) -> None:
        """Look into `home`, then onto `shelf` (that of the package); neither has to exist."""
        chosen = os.environ.get("MMSR_HOME")
        self.home = home or (Path(chosen) if chosen else Path.home() / ".local/share/mmsr")
        self.shelf = shelf or SHELF

    def list(self) -> tuple[Model, ...]:
        """Every model, by name, then oldest first."""
        found = [*_models(self.home, shipped=False), *_models(self.shelf, shipped=True)]
        return tuple(sorted(found, key=lambda model: (model.name, model.newness)))

    def find(self, spec: str | Path) -> Path:
        """The directory of a bundle given by path, by `name` (its newest version) or `name@1.0.0`.

        A Path, a text with a path separator in it, and the name of a bundle directory right here
        are paths. Nothing is verified yet. Raises BundleError with the nearest name.
        """
        if _is_path(spec):
            directory = Path(spec)
            if not (directory / MANIFEST).is_file():
                raise BundleError(f"{directory}: not a bundle, it has no {MANIFEST}")
            return directory
        return _choose(str(spec), self.list())[-1].directory

    def add(self, path: str | Path) -> Model:
        """Verify the bundle at `path`, a directory or a zip file, and store a copy at home.

        The copy appears whole or not at all. A model that is there already, to the last byte, is
        left as it is. Raises BundleError when the bundle is not sound, or when its name and
        version belong to another one.
        """
        path = Path(path)
        if not path.is_file():
            return self._store(open_any(path))
        from mmsr_registry.archive import unpack  # upscaling looks up names and needs no zip files

        try:
            self.home.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".unpacked.", dir=self.home) as folder:
                unpack(path, Path(folder))
                return self._store(open_any(folder))
        except OSError as error:
            raise BundleError(f"{self.home}: cannot write there ({error.strerror})") from None
        except BundleError as error:
            raise BundleError(str(error).replace(folder, str(path))) from None
        finally:
            with suppress(OSError):  # it may be the empty folder that was made above
                self.home.rmdir()

    def _store(self, bundle: Sealed[Facts]) -> Model:
        manifest = bundle.manifest
        target = self.home / manifest.name / manifest.version
        added = Model(manifest.name, manifest.version, target, shipped=False)
        for model in self.list():
            if str(model) != str(added):
                continue
            if open_any(model.directory).manifest == manifest:
                return model
            raise BundleError(
                f"{added} exists already ({model.directory}), with other content; remove it, or "
                "give the new one another version"
            )
        write_files(target, manifest, bundle.files())
        return added

    def remove(self, spec: str) -> Model:
        """Delete one model from the home root; BundleError for the shelf, a path, or several."""
        if _is_path(spec):
            raise BundleError(f'"{spec}" is a path: `remove` takes the name of a stored model')
        found = _choose(spec, self.list())
        removable = [model for model in found if not model.shipped]
        if not removable:
            raise BundleError(f"{found[-1]} ships with mmsr and can't be removed")
        if len(removable) > 1:
            raise BundleError(f"several versions: name one of {', '.join(map(str, removable))}")
        model = removable[0]
        try:
            # Out of sight in one step, so that an interrupted removal leaves no half bundle.
            with tempfile.TemporaryDirectory(prefix=".removed.", dir=self.home) as bin_:
                model.directory.rename(Path(bin_) / model.version)
            if not any(model.directory.parent.iterdir()):
                model.directory.parent.rmdir()
        except OSError as error:
            raise BundleError(f"{model.directory}: cannot remove ({error.strerror})") from None
        return model

    def verify(self, spec: str | Path) -> Sealed[Facts]:
        """Check a bundle's manifest, every file's hash, and that it is stored under its name."""
        directory = self.find(spec)
        bundle = open_any(directory)
        for model in self.list():
            named = f"{bundle.manifest.name}@{bundle.manifest.version}"
            if model.directory == directory and str(model) != named:
                raise BundleError(f"{directory}: stored as {model}, but its manifest says {named}")
        return bundle


def _is_path(spec: str | Path) -> bool:
    if isinstance(spec, Path) or os.sep in spec or (os.altsep and os.altsep in spec):
        return True
    return bool(spec) and (Path(spec) / MANIFEST).is_file()


def _models(root: Path, shipped: bool) -> list[Model]:
    return [
        Model(path.parent.parent.name, path.parent.name, path.parent, shipped)
        for path in root.glob(f"*/*/{MANIFEST}")
        if VERSION.fullmatch(path.parent.name) and not path.parent.parent.name.startswith(".")
    ]


def _choose(spec: str, models: tuple[Model, ...]) -> list[Model]:
    """The models that `name` or `name@version` means, oldest first; at least one."""
    name, at, version = spec.partition("@")
    named = [model for model in models if model.name == name]
    if not named:
        raise BundleError(no_such("model", name, {model.name for model in models}))
    found = [model for model in named if not at or model.version == version]
    if not found:
        raise BundleError(no_such(f"version of {name}", version, {m.version for m in named}))
    return found
