"""How bits are shared between the two layers: the table that `--quality` and `--bpp` go by."""

from collections.abc import Iterable
from pathlib import Path

from mmsr_core.errors import MmsrError
from mmsr_core.measure.codecs.rates import Rates, Row
from mmsr_core.runtime.bundle import CodecBundle, write_files
from mmsr_core.runtime.codec import residual
from mmsr_core.runtime.codec.compress import Setting
from mmsr_core.runtime.codec.manifest import QualityPoint

QPS = tuple(range(20, residual.LAST_QP + 1, 5))
_APART = 1.03
"""How much more a setting has to cost than the one before it to be worth an entry."""

_USABLE = 0.75
"""MS-SSIM below which nobody would call it the picture."""


def candidates() -> tuple[Setting, ...]:
    """Every number of bits from 2 on, alone and with residuals of all of `QPS`.

    MmsrError where residuals can't be coded.
    """
    if not residual.can_encode():
        raise MmsrError("residual layers are coded by pillow_heif: pip install 'mmsr[codec]'")
    pairs = [Setting(bits, qp) for bits in range(2, 9) for qp in QPS]
    return (*(Setting(bits) for bits in range(1, 9)), *pairs)


def frontier(rows: Iterable[Row]) -> tuple[QualityPoint, ...]:
    """The settings that none beats at their rate or below, fewer bits a pixel first.

    What counts is MS-SSIM, which a codec is trained for and `--bpp` goes by. Settings too coarse to
    show a picture are left out where there are finer ones.
    """
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: (row.bpp, -row.ms_ssim)):
        if kept and row.ms_ssim <= kept[-1].ms_ssim:
            continue
        if kept and row.bpp < _APART * kept[-1].bpp:
            kept.pop()  # better for hardly more
        kept.append(row)
    usable = [row for row in kept if row.ms_ssim >= _USABLE]
    return tuple(_point(row) for row in usable or kept)


def _point(row: Row) -> QualityPoint:
    assert isinstance(row.setting, Setting)
    return QualityPoint(
        bits=row.setting.bits,
        qp=row.setting.qp,
        bpp=row.bpp,
        psnr=min(row.psnr, 200.0),
        ms_ssim=max(row.ms_ssim, 0.0),
    )


def write_allocated(bundle: CodecBundle, rates: Rates, target: Path) -> int:
    """The codec anew, its table made of what was measured; how many settings that has.

    Its files, and so what it decodes, stay as they are. BundleError when `target` exists.
    """
    points = frontier(row for row in rates.rows if row.codec == rates.model)
    manifest = bundle.manifest.model_copy(update={"qualities": points})
    write_files(target, manifest, bundle.files())
    return len(points)
