"""What a trained codec makes of photographs: code maps, and qualities at every number of bits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mmsr_core.measure.metrics import ms_ssim_rgb, psnr_rgb
from mmsr_core.runtime.codec.codemap import encode_map
from mmsr_core.runtime.codec.entropy import Models
from mmsr_core.runtime.codec.quantiser import MOST_BITS
from mmsr_core.runtime.image import to_float
from mmsr_core.runtime.tiles import Floats
from mmsr_core.train.codec.photographs import whole_cells
from mmsr_core.train.codec.recipe import FACTOR
from mmsr_core.train.data import Bytes, Report, to_tensor

LARGEST = 1024
"""Pixels a side of what the tables and the qualities are measured on: more tells no more."""
CODES = 2**23
"""Codes that the tables are learnt from, about: what 128 photographs of 512×512 have in 16
channels."""


def code_maps(
    codec: Any, photographs: Sequence[Bytes], device: torch.device, report: Report
) -> list[Floats]:
    """Code maps (c,h/8,w/8) of as many photographs as have `CODES` codes, spread over all."""
    mean = np.mean([whole_cells(one, LARGEST)[..., 0].size for one in photographs])
    most = max(1, round(CODES / (codec.channels * mean / FACTOR**2)))
    places = np.linspace(0, len(photographs), min(most, len(photographs)), endpoint=False)
    maps = []
    for done, place in enumerate(places.astype(int), 1):
        maps.append(_encoded(codec, whole_cells(photographs[place], LARGEST), device))
        report("code maps", done, len(places))
    return maps


def measure_qualities(
    codec: Any,
    photographs: Sequence[Bytes],
    models: Models,
    device: torch.device,
    report: Report,
) -> list[dict[str, Any]]:
    """The base layer at 1 to 8 bits a code: rate, PSNR and MS-SSIM, means over photographs.

    Fewer bits per pixel first; a number of bits that costs more and gives less is left out.
    """
    found: list[dict[str, Any]] = []
    for bits in range(1, MOST_BITS + 1):
        rows = []
        for done, photograph in enumerate(photographs, 1):
            rows.append(_measured(codec, whole_cells(photograph, LARGEST), bits, models, device))
            measured = (bits - 1) * len(photographs) + done
            report("qualities", measured, MOST_BITS * len(photographs))
        bpp, psnr, similarity = np.mean(rows, axis=0).tolist()
        point = {"bits": bits, "qp": None, "bpp": bpp, "psnr": psnr, "ms_ssim": similarity}
        found = [one for one in found if one["bpp"] < bpp]
        found.append(point)
    return found


def _measured(
    codec: Any, photograph: Bytes, bits: int, models: Models, device: torch.device
) -> tuple[float, float, float]:
    """Bits per pixel, PSNR in dB and MS-SSIM of one photograph of whole cells."""
    codes = _encoded(codec, photograph, device)
    data, quantiser, numbers = encode_map(models, bits, codes)
    seen = quantiser.codes(numbers.astype(np.int64))
    with torch.inference_mode():
        answer = codec.decoder(torch.from_numpy(seen)[None].to(device))[0]
    decoded, original = answer.permute(1, 2, 0).cpu().numpy(), to_float(photograph)
    rate = 8 * len(data) / (photograph.shape[0] * photograph.shape[1])
    return rate, psnr_rgb(decoded, original), ms_ssim_rgb(decoded, original)


def _encoded(codec: Any, photograph: Bytes, device: torch.device) -> Floats:
    with torch.inference_mode():
        codes = codec.encoder(to_tensor(photograph[None]).to(device))[0]
    return np.ascontiguousarray(codes.float().cpu().numpy())
