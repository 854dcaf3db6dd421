import torch

from mmsr_resgdn import register_codecs

(CODEC,) = register_codecs()


def test_a_few_steps_on_one_image_lower_the_loss():
    torch.manual_seed(0)
    module = CODEC.build(widths=(4, 6, 6, 8), codes=4, bits=(4,))
    y, x = torch.meshgrid(torch.linspace(0, 1, 176), torch.linspace(0, 1, 176), indexing="ij")
    image = torch.stack([x, y, 0.5 + 0.4 * torch.sin(20 * x * y)])[None]
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-3)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = module(image)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
