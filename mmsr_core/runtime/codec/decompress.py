"""Decompressing an `.mmc` file."""

from pathlib import Path

from mmsr_core.runtime.codec.file import Codecs
from mmsr_core.runtime.image.picture import open_image
from mmsr_core.runtime.image.sink import Sink

_ROWS = 256


def decompress_file(codecs: Codecs, source: Path, target: Path) -> None:
    """An image file of an `.mmc` file, with its metadata; it appears whole or not at all.

    Any image is read, so this turns other formats into the target's too. ImageError when the
    source can't be read, or the target's format can't hold it.
    """
    picture = open_image(source, codecs=codecs)
    header = picture.header
    alphas = picture.alpha.strips(_ROWS) if picture.alpha is not None else None
    with Sink(target, header.height, header.width, header) as sink:
        for colour in picture.colour.strips(_ROWS):
            sink.write(colour, None if alphas is None else next(alphas))
