"""The hooks of the `mmsr` entry-point group: each returns the components a plugin contributes."""

from collections.abc import Iterable

import pluggy

from mmsr_core.plugin.components import (
    Backbone,
    Classifier,
    Codec,
    Extractor,
    Fuser,
    Loader,
    Metric,
)

GROUP = "mmsr"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def register_backbones() -> Iterable[Backbone]:
    """Networks that upscale tiles."""
    raise NotImplementedError


@hookspec
def register_extractors() -> Iterable[Extractor]:
    """Networks that describe tiles by features."""
    raise NotImplementedError


@hookspec
def register_classifiers() -> Iterable[Classifier]:
    """Models that choose a route from features."""
    raise NotImplementedError


@hookspec
def register_fusers() -> Iterable[Fuser]:
    """Networks that join the answers of several experts."""
    raise NotImplementedError


@hookspec
def register_codecs() -> Iterable[Codec]:
    """Learned image codecs."""
    raise NotImplementedError


@hookspec
def register_metrics() -> Iterable[Metric]:
    """Measures of image quality."""
    raise NotImplementedError


@hookspec
def register_loaders() -> Iterable[Loader]:
    """Openers of upscalers that were trained elsewhere."""
    raise NotImplementedError
