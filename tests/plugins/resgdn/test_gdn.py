import pytest
import torch

from mmsr_resgdn.gdn import GDN, IGDN, LARGEST, LEAST_BETA


def with_weights(layer, beta, gamma):
    layer.beta, layer.gamma = torch.tensor(beta), torch.tensor(gamma)
    return layer.requires_grad_(False)


def pixel(*values):
    return torch.tensor(values)[None, :, None, None]


BETA, GAMMA = [1.0, 4.0], [[0.5, 0.25], [0.0, 2.0]]


def test_gdn_divides_by_the_root_of_equation_2():
    answer = with_weights(GDN(2), BETA, GAMMA)(pixel(2.0, 4.0))
    # 2 / √(1 + 0.5·4 + 0.25·16) and 4 / √(4 + 0·4 + 2·16)
    assert answer.flatten().tolist() == pytest.approx([2 / 7**0.5, 4 / 6], rel=1e-5)


def test_igdn_multiplies_by_the_root_of_equation_5():
    answer = with_weights(IGDN(2), BETA, GAMMA)(pixel(2.0, 4.0))
    assert answer.flatten().tolist() == pytest.approx([2 * 7**0.5, 4 * 6], rel=1e-5)


def test_a_pixel_looks_at_its_own_channels_alone():
    layer = GDN(3).requires_grad_(False)
    images = torch.randn(1, 3, 4, 5)
    assert torch.allclose(layer(images)[..., 2:3, 1:2], layer(images[..., 2:3, 1:2]))


def test_beta_and_gamma_stay_in_their_bounds_whatever_training_does():
    layer = GDN(4)
    optimizer = torch.optim.SGD(layer.parameters(), lr=10.0)
    for _ in range(5):
        optimizer.zero_grad()
        layer(torch.randn(2, 4, 6, 6)).square().sum().neg().backward()  # wants them small
        optimizer.step()
    assert layer.beta.min() >= LEAST_BETA * (1 - 1e-4)
    assert layer.gamma.min() >= 0


def test_a_weight_at_its_bound_can_still_rise():
    layer = GDN(2)
    before = layer.gamma[0, 1].item()
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    for _ in range(20):
        optimizer.zero_grad()
        layer(pixel(1.0, 3.0)).square().sum().backward()  # wants them large
        optimizer.step()
    assert layer.gamma[0, 1] > before + 1e-4


@pytest.mark.parametrize(
    ("kind", "size"),
    [(GDN, 1e-3), (GDN, 1.0), (GDN, 4000.0), (IGDN, 1e-3), (IGDN, 1.0), (IGDN, 60.0)],
)
def test_half_precision_answers_alike_where_plain_squares_would_overflow(kind, size):
    torch.manual_seed(0)
    layer = kind(8).requires_grad_(False)
    images = size * (torch.rand(1, 8, 5, 5) - 0.5)
    exact = layer(images)
    half = layer.half()(images.half()).float()
    assert torch.isfinite(half).all()
    assert ((half - exact).abs() <= 5e-3 * exact.abs() + 2e-3 * exact.abs().mean()).all()


def test_with_a_reach_no_answer_is_larger():
    layer = GDN(3, reach=8.0).requires_grad_(False)
    layer.gamma = torch.zeros(3, 3)  # as small as it gets
    answers = layer(pixel(1e4, -1e4, 1.0)).flatten()
    assert answers.abs().max() <= 8
    assert answers[0] == pytest.approx(8, rel=1e-3)
    assert answers[2] == pytest.approx((1 + 1 / 64) ** -0.5, rel=1e-3)


def test_an_inverse_takes_an_outlier_for_the_largest_value_it_knows():
    layer = with_weights(IGDN(2), BETA, GAMMA)
    assert torch.equal(layer(pixel(1e6, -50.0)), layer(pixel(LARGEST, -LARGEST)))


def test_eleven_inverses_in_a_row_leave_an_outlier_finite():
    layers = torch.nn.Sequential(*(IGDN(4) for _ in range(11))).requires_grad_(False)
    assert layers(torch.full((1, 4, 2, 2), 1e3)).abs().max() < 1e3
