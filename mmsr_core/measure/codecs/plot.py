"""The picture of rates: quality over bits a pixel."""

from pathlib import Path

from mmsr_core.measure.codecs.curve import decibels
from mmsr_core.measure.codecs.rates import Rates

_COLOURS = {
    "jpeg": "#8a8a8a",
    "webp": "#15803d",
    "jpeg2000": "#a16207",
    "avif": "#1d4ed8",
    "hevc444": "#7c3aed",
}


def plot(rates: Rates, path: Path) -> None:
    """Draw PSNR and MS-SSIM (in decibels) over bits a pixel; PNG, SVG or PDF by suffix."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    both = figure.subplots(1, 2)
    for name in dict.fromkeys(row.codec for row in rates.rows):
        rows = sorted((row for row in rates.rows if row.codec == name), key=lambda row: row.bpp)
        own = name == rates.model
        for layered in (False, True) if own else (False,):
            some = [row for row in rows if (row.residual > 0) == layered]
            if not some:
                continue
            style = {"color": "#c2410c"} if own else {"color": _COLOURS.get(name)}
            label = f"{name}, {'with' if layered else 'no'} residual" if own else name
            mark = ("D-" if layered else "o:") if own else ".-"
            bpp = [row.bpp for row in some]
            both[0].plot(bpp, [row.psnr for row in some], mark, label=label, **style)
            both[1].plot(bpp, [decibels(row.ms_ssim) for row in some], mark, label=label, **style)
    for axes, what in zip(both, ("PSNR of RGB (dB)", "MS-SSIM of RGB (dB)"), strict=True):
        axes.set_xlabel("bits per pixel")
        axes.set_ylabel(what)
        axes.set_xlim(0, 2)
        axes.grid(alpha=0.3)
    both[0].legend(loc="lower right", fontsize=8)
    figure.suptitle(f"{rates.model}, {rates.images} images")
    figure.savefig(path, dpi=150)
