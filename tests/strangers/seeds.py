"""Sound files for the fuzzer to spoil: images of every format, and bundles."""

import json
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pyvips
from graphs import write_upscaler

HEIGHT, WIDTH = 41, 53
"""Of every image: rare numbers, so that the fuzzer finds them in headers."""
_SAVED = {
    "plain.png": {},
    "interlaced.png": {"interlace": True},
    "palette.png": {"palette": True},
    "plain.jpg": {"Q": 90},
    "progressive.jpg": {"interlace": True},
    "lossy.webp": {"Q": 80},
    "lossless.webp": {"lossless": True},
    "plain.tif": {},
    "deflate.tif": {"compression": "deflate", "predictor": "horizontal"},
    "lzw.tif": {"compression": "lzw"},
    "jpeg.tif": {"compression": "jpeg"},
    "tiled.tif": {"tile": True, "tile_width": 16, "tile_height": 16, "compression": "deflate"},
    "big.tif": {"bigtiff": True},
    "plain.avif": {"compression": "av1", "effort": 0, "Q": 60},
    "plain.gif": {},
}


def write_images(folder: Path) -> list[Path]:
    """One image of each kind that is read, in `folder`; their paths, sorted."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    rough = cv2.resize(rng.random((9, 11, 4)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    colour = (rough.clip(0, 1) * 255).astype(np.uint8)
    deep = (rough.clip(0, 1) * 65535).astype(np.uint16)
    rgb = pyvips.Image.new_from_array(colour[..., :3]).copy(interpretation="srgb")
    for name, options in _SAVED.items():
        rgb.write_to_file(str(folder / name), **options)
    rgba = pyvips.Image.new_from_array(colour).copy(interpretation="srgb")
    for name in ("alpha.png", "alpha.webp", "alpha.tif"):
        rgba.write_to_file(str(folder / name))
    rgb16 = pyvips.Image.new_from_array(deep[..., :3]).copy(interpretation="rgb16")
    for name in ("deep.png", "deep.tif"):
        rgb16.write_to_file(str(folder / name))
    pyvips.Image.new_from_array(rough[..., :3].astype(np.float32)).write_to_file(
        str(folder / "float.tif")
    )
    rgb.colourspace("b-w").write_to_file(str(folder / "grey.jpg"))
    rgb.colourspace("cmyk").write_to_file(str(folder / "cmyk.jpg"))
    turned = rgb.copy()
    turned.set_type(pyvips.GValue.gint_type, "orientation", 6)
    turned.write_to_file(str(folder / "turned.jpg"))
    cv2.imwrite(str(folder / "plain.bmp"), colour[..., :3])
    return sorted(folder.iterdir())


def write_bundles(folder: Path) -> list[Path]:
    """A bundle that runs, as a folder and zipped, for the fuzzer to take parts of."""
    bundle = write_upscaler(folder / "bundle").directory
    path = folder / "bundle.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(os.listdir(bundle)):
            entry = zipfile.ZipInfo(name)  # of 1980: a clock would make every zip another one
            archive.writestr(entry, (bundle / name).read_bytes(), zipfile.ZIP_DEFLATED)
    json.loads((bundle / "manifest.json").read_bytes())
    return [bundle, path]
