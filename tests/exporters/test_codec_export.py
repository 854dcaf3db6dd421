import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from mmsr_core.draft import CodecDraft
from mmsr_core.errors import BundleError, ExportError
from mmsr_core.runtime.bundle import Bundle, CodecBundle, open_any
from mmsr_core.runtime.codec.learn import learn_tables, write_tables
from mmsr_core.runtime.session import Device, Session
from mmsr_onnx.codec import export_codec
from mmsr_resgdn import register_codecs

CPU = Device("cpu", "a test")
POINTS = ({"bits": 4, "qp": None, "bpp": 0.5, "psnr": 30.0, "ms_ssim": 0.9},)


def quiet(step):
    pass


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    (codec,) = register_codecs()
    return codec.build(codes=4, widths=(4, 6, 8, 10)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def draft(module):
    maps = [np.random.default_rng(n).normal(0, 1, (4, 12, 12)).astype(np.float32) for n in (0, 1)]
    return CodecDraft(
        name="tiny",
        version="1.0.0",
        codec="resgdn",
        encoder=module.encoder,
        decoder=module.decoder,
        encoder_radius=module.encoder_radius,
        decoder_radius=module.decoder_radius,
        channels=4,
        tables=write_tables(learn_tables(maps)),
        qualities=POINTS,
        made={"data": [{"licence": "CC0"}]},
    )


@pytest.fixture(scope="module")
def bundle(draft, tmp_path_factory):
    return export_codec(draft, tmp_path_factory.mktemp("made") / "bundle", quiet)


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (2, 3, 40, 16), (1, 3, 200, 136)])
def test_both_graphs_answer_as_the_module_does_at_any_size(bundle, module, shape):
    images = np.random.default_rng(0).random(shape, np.float32)
    expected = module.encoder(torch.from_numpy(images))
    encoder = Session(bundle.graph(bundle.manifest.encoder.graph), CPU, "encoder")
    codes = encoder.run(images, "codes", tuple(expected.shape))
    assert np.abs(codes - expected.numpy()).max() < 1e-4
    decoder = Session(bundle.graph(bundle.manifest.decoder.graph), CPU, "decoder")
    decoded = decoder.run(codes, "images", shape)
    assert np.abs(decoded - module.decoder(expected).numpy()).max() < 1e-4


def test_gdn_is_plain_arithmetic_in_the_graph(bundle):
    graph = onnx.load_from_string(bundle.graph("encoder.onnx")).graph
    allowed = {"Conv", "Mul", "Add", "Sub", "Div", "Pow", "Sqrt", "Reciprocal"}
    assert {node.op_type for node in graph.node} <= allowed


def test_a_codec_is_opened_as_one_and_as_nothing_else(bundle):
    assert CodecBundle.open(bundle.directory).manifest == bundle.manifest
    assert open_any(bundle.directory).manifest.kind == "codec"
    with pytest.raises(BundleError, match="is a codec"):
        Bundle.open(bundle.directory)


def test_a_changed_table_is_refused(bundle, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(bundle.directory, copy)
    (copy / "tables.npz").write_bytes(b"other")
    with pytest.raises(BundleError, match=r"tables\.npz is not what the manifest promises"):
        CodecBundle.open(copy)


def test_a_graph_that_answers_otherwise_is_not_written(draft, module, tmp_path):
    class Odd(torch.nn.Module):
        def forward(self, images):
            noise = 0.0 if torch.compiler.is_exporting() else 0.5
            return module.encoder(images) + noise

    with pytest.raises(ExportError, match="differs from the trained model"):
        export_codec(replace(draft, encoder=Odd()), tmp_path / "bundle", quiet)
    assert not (tmp_path / "bundle").exists()


def test_a_place_that_is_taken_is_refused(draft, tmp_path):
    with pytest.raises(BundleError, match="exists already"):
        export_codec(draft, tmp_path, quiet)
