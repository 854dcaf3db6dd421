"""The catalog: the components installed here, each with the plugin that owns it.

Entry points load one by one, so that a plugin that fails to import is listed as broken and
everything else works. Nothing is global: whoever needs a catalog loads one.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, Self, TypeVar

import pluggy

from mmsr_core.errors import PluginError, no_such
from mmsr_core.plugin import hookspecs
from mmsr_core.plugin.components import (
    Backbone,
    Choice,
    Classifier,
    Codec,
    Component,
    Extractor,
    Fuser,
    Loader,
    Metric,
)

Kind = Literal["backbone", "extractor", "classifier", "fuser", "codec", "metric", "loader"]
KINDS: dict[Kind, type[Component]] = {
    "backbone": Backbone,
    "extractor": Extractor,
    "classifier": Classifier,
    "fuser": Fuser,
    "codec": Codec,
    "metric": Metric,
    "loader": Loader,
}
C = TypeVar("C", Backbone, Extractor, Classifier, Fuser, Codec, Metric, Loader)


@dataclass(frozen=True)
class Entry:
    """A component and the distribution that brought it."""

    kind: Kind
    component: Component
    owner: str


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be loaded, and why."""

    entry_point: str
    owner: str
    reason: str


@dataclass(frozen=True)
class Catalog:
    """The installed components, and the plugins that failed to give theirs."""

    entries: tuple[Entry, ...]
    broken: tuple[Broken, ...] = ()
    points: tuple[EntryPoint, ...] = field(default=(), repr=False, compare=False)
    """What it was loaded from, if it was."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process loads the plugins itself: their functions don't all travel.
        if self.points:
            return type(self).load, (self.points,)
        return type(self), (self.entries, self.broken)

    @classmethod
    def load(cls, points: Iterable[EntryPoint] | None = None) -> Self:
        """Load every entry point of the group `mmsr` (or the given ones)."""
        found: list[Entry] = []
        broken: list[Broken] = []
        chosen = tuple(entry_points(group=hookspecs.GROUP) if points is None else points)
        for point in sorted(chosen, key=lambda point: point.name):
            owner = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
            try:
                found += _entries(point.load(), owner)
            except (Exception, SystemExit) as error:  # whatever it raises, we go on
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                broken.append(Broken(point.name, owner, reason))
        return cls(tuple(found), tuple(broken), chosen)

    def backbone(self, name: str) -> Backbone:
        """The backbone of that name; PluginError when none or several claim it."""
        return self._get("backbone", Backbone, name)

    def extractor(self, name: str) -> Extractor:
        """The extractor of that name; PluginError when none or several claim it."""
        return self._get("extractor", Extractor, name)

    def classifier(self, name: str) -> Classifier:
        """The classifier of that name; PluginError when none or several claim it."""
        return self._get("classifier", Classifier, name)

    def fuser(self, name: str) -> Fuser:
        """The fuser of that name; PluginError when none or several claim it."""
        return self._get("fuser", Fuser, name)

    def codec(self, name: str) -> Codec:
        """The codec of that name; PluginError when none or several claim it."""
        return self._get("codec", Codec, name)

    def metric(self, name: str) -> Metric:
        """The metric of that name; PluginError when none or several claim it."""
        return self._get("metric", Metric, name)

    def loader(self, name: str) -> Loader:
        """The loader of that name; PluginError when none or several claim it."""
        return self._get("loader", Loader, name)

    def loaders(self) -> tuple[Loader, ...]:
        """All of them."""
        found = (entry.component for entry in self.entries)
        return tuple(one for one in found if isinstance(one, Loader))

    def conflicts(self) -> list[str]:
        """One line for every name that two plugins claim."""
        claims = Counter((entry.kind, entry.component.name) for entry in self.entries)
        return [self._conflict(kind, name) for (kind, name), n in claims.items() if n > 1]

    def _get(self, kind: Kind, cls: type[C], name: str) -> C:
        same = [entry.component for entry in self.entries if entry.kind == kind]
        found = [component for component in same if component.name == name]
        if len(found) > 1:
            raise PluginError(self._conflict(kind, name))
        if found and isinstance(found[0], cls):
            return found[0]
        message = no_such(kind, name, (component.name for component in same))
        for plugin in self.broken:
            message += f"; plugin {plugin.entry_point} is broken ({plugin.reason})"
        raise PluginError(message)

    def _conflict(self, kind: Kind, name: str) -> str:
        owners = [
            entry.owner
            for entry in self.entries
            if entry.kind == kind and entry.component.name == name
        ]
        return f'{kind} "{name}" is claimed by {" and by ".join(owners)}; uninstall one of them'


def _entries(plugin: object, owner: str) -> list[Entry]:
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    manager.check_pending()  # a misspelt hook is an error, not a silence
    found: list[Entry] = []
    for kind, cls in KINDS.items():
        for components in getattr(manager.hook, f"register_{kind}s")():
            for component in components:
                if not isinstance(component, cls):
                    raise PluginError(f"register_{kind}s returned {component!r}, not a {kind}")
                found.append(Entry(kind, component, owner))
    if not found:
        raise PluginError("it registers nothing: no hookimpl returned a component")
    return found


def check_options(
    choice: Choice, function: Callable[..., Any], given: Mapping[str, Any] | None = None
) -> None:
    """Raise PluginError unless `function` takes the choice's options besides those `given`."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    known = [name for name in parameters if name not in (given or {})]
    for option in choice.options:
        if option not in known:
            raise PluginError(no_such(f"option of {choice.name}", option, known, "it takes"))
    missing = [
        name
        for name in known
        if parameters[name].default is inspect.Parameter.empty and name not in choice.options
    ]
    if missing:
        raise PluginError(f"{choice.name} needs the option {', '.join(missing)}")
