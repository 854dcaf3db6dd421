import math

import pytest
import torch

from mmsr_resgdn.rate import Rate


def learnt(maps, steps=200):
    """A model of one rate that has learnt these maps (n,c,h,w)."""
    torch.manual_seed(0)
    model = Rate(maps.shape[1], 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    rates = torch.zeros(len(maps), dtype=torch.long)
    for _ in range(steps):
        optimizer.zero_grad()
        model(maps, rates).mean().backward()
        optimizer.step()
    with torch.no_grad():
        return model(maps, rates).mean().item() / maps[0].numel()


def test_codes_of_a_logistic_distribution_cost_their_entropy():
    torch.manual_seed(1)
    uniform = torch.rand(2, 2, 24, 24)
    maps = 5 * (uniform / (1 - uniform)).log()
    entropy = math.log2(math.e**2 * 5)  # of a logistic distribution: ln s + 2 nats
    assert learnt(maps) == pytest.approx(entropy, abs=0.1)


def test_codes_that_their_neighbours_foretell_cost_less():
    torch.manual_seed(1)
    rough = 10 * torch.randn(2, 2, 24, 24)
    smooth = rough.cumsum(2).cumsum(3)
    smooth = smooth / smooth.std() * rough.std()
    assert learnt(smooth) < 0.8 * learnt(rough)


def test_codes_that_the_first_channel_foretells_cost_less():
    torch.manual_seed(1)
    first = 10 * torch.randn(2, 1, 24, 24)
    slope = torch.nn.functional.pad(first, (1, 1))[..., 2:] - first + torch.randn(2, 1, 24, 24)
    apart = torch.cat([first, slope.flip(2)], 1)
    assert learnt(torch.cat([first, slope], 1)) < 0.8 * learnt(apart)


@pytest.mark.parametrize(
    ("changed", "same"), [((0, 4, 3), (0, 4, 3)), ((0, 4, 3), (1, 3, 3)), ((1, 4, 3), (1, 4, 3))]
)
def test_no_code_counts_on_what_is_read_after_it(changed, same):
    """The first channel is read ahead of the others, by what its codes foretell of theirs."""
    torch.manual_seed(0)
    model = Rate(3, 1)
    with torch.no_grad():
        for weights in (model.predict, model.first):
            weights.normal_(std=0.01)
    maps = torch.randn(1, 3, 6, 7)
    other = maps.clone()
    channel, row, column = changed
    other[:, channel, row, column:] += 5
    other[:, channel, row + 1 :] += 5

    def spent(of):
        torch.manual_seed(3)
        with torch.no_grad():
            return model.lengths(of, torch.zeros(1, dtype=torch.long))[0]

    before, after = spent(maps), spent(other)
    channel, row, column = same
    assert torch.equal(before[channel, :row], after[channel, :row])
    assert torch.equal(before[channel, row, : column - 1], after[channel, row, : column - 1])
    assert not torch.equal(before[channel, row, column:], after[channel, row, column:])
