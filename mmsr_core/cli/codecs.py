"""Codecs by name, opened once."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from mmsr_core.errors import BundleError
from mmsr_core.runtime.bundle import CodecBundle
from mmsr_core.runtime.codec.file import Codecs
from mmsr_core.runtime.codec.transform import Codec
from mmsr_core.runtime.device import Device
from mmsr_registry import Registry


def open_codec(model: str | Path, device: str, threads: int | None = None) -> Codec:
    """The codec of a name or a path; BundleError when there is none, DeviceError as ever."""
    try:
        directory = Registry().find(model)
    except BundleError as error:
        hint = "resgdn ships with mmsr; docs/codec.md shows how to train one"
        raise BundleError(f"{error}; {hint}") from None
    bundle = CodecBundle.open(directory)
    probe = bundle.graph(bundle.manifest.decoder.graph)
    return Codec(bundle, Device.choose(device, probe), threads)


def installed_codecs(
    device: str,
    threads: int | None = None,
    notice: Callable[[str], None] = lambda line: None,
    model: str | None = None,
) -> Codecs:
    """The codecs that `.mmc` files name, or `model` for them all."""

    @cache
    def find(name: str, version: str) -> Codec:
        return open_codec(model or f"{name}@{version}", device, threads)

    return Codecs(find, notice)
