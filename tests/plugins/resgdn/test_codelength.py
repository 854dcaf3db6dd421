import math

import pytest
import torch

from mmsr_core.errors import PluginError, RecipeError
from mmsr_core.plugin.testing import check_extractor
from mmsr_resgdn import register_codecs, register_extractors

(CODEC,) = register_codecs()
(CODELENGTH,) = register_extractors()
SMALL = {"codes": 2, "widths": (4, 4, 4, 4)}


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(3)
    path = tmp_path / "weights.pt"
    torch.save(CODEC.build(**SMALL).state_dict(), path)
    return str(path)


@pytest.mark.parametrize("variant", ["resgdn", "nogdn"])
@pytest.mark.parametrize("shortcut", [False, True])
def test_it_keeps_an_extractors_contract(variant, shortcut):
    check_extractor(CODELENGTH, **SMALL, variant=variant, shortcut=shortcut)


def test_a_flat_tile_costs_less_than_a_textured_one_in_every_channel(weights):
    module = CODELENGTH.build(weights=weights, **SMALL)
    flat = torch.full((1, 3, 32, 32), 0.4)
    textured = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    cheap, dear = module(torch.cat([flat, textured]))
    assert (cheap[:-1] < dear[:-1]).all()
    assert cheap[-1] < dear[-1]


def test_the_last_feature_is_the_sum_of_the_channels(weights):
    features = CODELENGTH.build(weights=weights, **SMALL)(torch.rand(3, 3, 28, 28))
    assert features.shape == (3, 3)
    assert torch.allclose(features[:, :-1].sum(1), features[:, -1])


class Fixed(torch.nn.Module):
    """An encoder that answers with one code map, whatever it is shown."""

    def __init__(self, codes):
        super().__init__()
        self.codes = codes

    def forward(self, tiles):
        return self.codes


def test_a_code_costs_what_gamma_coding_its_miss_in_steps_would():
    module = CODELENGTH.build(**SMALL, bits=2)
    step = module.step[0].item()
    flat, edge = torch.ones(1, 2, 2), torch.tensor([[[0.0, 3 * step], [0.0, 3 * step]]])
    module.encoder = Fixed(torch.stack([flat[0], edge[0]])[None])
    # The edge's right column misses by 1.5 steps: above it there is the same, to its left nothing.
    expected = 1 + 2 * 2 * math.log2(2.5) / 4
    features = module(torch.rand(1, 3, 16, 16))[0]
    assert features.tolist() == pytest.approx([1, expected, 1 + expected], abs=1e-5)


def test_its_names_say_whose_weights_they_are(weights, tmp_path):
    torch.manual_seed(4)
    other = tmp_path / "other.pt"
    torch.save(CODEC.build(**SMALL).state_dict(), other)
    one, two = (CODELENGTH.build(weights=str(path), **SMALL) for path in (weights, other))
    assert one.names != two.names
    assert one.names == CODELENGTH.build(weights=weights, **SMALL).names


def test_weights_of_another_codec_or_of_none_are_refused_in_one_line(weights, tmp_path):
    with pytest.raises(RecipeError, match="not the weights of a codec of 8 codes"):
        CODELENGTH.build(weights=weights)
    with pytest.raises(RecipeError, match="cannot read it"):
        CODELENGTH.build(weights=str(tmp_path / "missing.pt"))
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(RecipeError, match=r"no weights; give the weights\.pt"):
        CODELENGTH.build(weights=str(tmp_path / "text.pt"))
    with pytest.raises(PluginError, match="takes 1 to 8"):
        CODELENGTH.build(bits=9)
