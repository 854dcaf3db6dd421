"""Checkpoints of spandrel's architectures with random weights, small enough for a test."""

import torch
from safetensors.torch import save_file

from mmsr_spandrel.opening import import_spandrel

SPANDREL = import_spandrel()


def descriptor(path):
    """What spandrel itself makes of a file."""
    if path.suffix == ".safetensors":
        return SPANDREL.ModelLoader().load_from_file(path).eval()
    weights = torch.load(path, weights_only=True)
    return SPANDREL.ModelLoader().load_from_state_dict(weights).eval()


def write_compact(path, scale=4):
    """Real-ESRGAN's compact network, four convolutions deep."""
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    sizes = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_conv": 2}
    return _write(path, lambda: SRVGGNetCompact(**sizes, upscale=scale, act_type="prelu"))


def write_span(path, scale=4):
    """SPAN, which merges its convolutions whenever it is called."""
    from spandrel.architectures.SPAN.__arch.span import SPAN

    return _write(path, lambda: SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=scale))


def write_safmn(path):
    """SAFMN, which takes sides that are multiples of 8."""
    from spandrel.architectures.SAFMN.__arch.safmn import SAFMN

    return _write(path, lambda: SAFMN(dim=8, n_blocks=1, upscaling_factor=2))


def write_rcan(path):
    """RCAN, which multiplies its input in place and pools over the picture."""
    from spandrel.architectures.RCAN.__arch.rcan_arch import RCAN

    return _write(path, lambda: RCAN(n_resgroups=1, n_resblocks=1, n_feats=8, scale=2, reduction=4))


def write_denoiser(path):
    """DnCNN, which gives a picture of the size it takes."""
    from spandrel.architectures.DnCNN.__arch.network_dncnn import DnCNN

    return _write(path, lambda: DnCNN(in_nc=3, out_nc=3, nc=8, nb=20, act_mode="R"))


def _write(path, make):
    torch.manual_seed(1)
    weights = make().state_dict()
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path)
    return path
