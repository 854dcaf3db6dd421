"""The losses of an adversarial phase, from the discriminator's logits.

x_r are real HR patches, x_f = G(lr) upscaled ones; C(x) is a logit, σ the logistic function and E
the mean over the batch. Standard game (Goodfellow 2014; SRGAN, eq. 2 and 6): D(x) = σ(C(x)).
Relativistic average game (ESRGAN, section 3.2): D(x, y) = σ(C(x) − E[C(y)]), how much more of a
photograph x is than the y are on average.

−log σ(z) = softplus(−z) and −log(1 − σ(z)) = softplus(z), which overflow nowhere. Logits of
shape (n,1), of any precision; the losses are float32 scalars, under autocast too.
"""

from torch import Tensor
from torch.nn import functional as F

from mmsr_core.plugin.components import Game


def generator_loss(game: Game, real: Tensor, fake: Tensor) -> Tensor:
    """What the generator minimises, from the logits of real patches and of its answers.

    standard: −E[log D(x_f)]; `real` is not looked at.
    relativistic: −E[log(1 − D(x_r, x_f))] − E[log D(x_f, x_r)].
    """
    real, fake = real.float(), fake.float()
    if game == "standard":
        return F.softplus(-fake).mean()
    return F.softplus(real - fake.mean()).mean() + F.softplus(real.mean() - fake).mean()


def discriminator_loss(game: Game, real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator minimises; its `fake` logits are of detached answers.

    standard: −E[log D(x_r)] − E[log(1 − D(x_f))].
    relativistic: −E[log D(x_r, x_f)] − E[log(1 − D(x_f, x_r))].
    """
    real, fake = real.float(), fake.float()
    if game == "standard":
        return F.softplus(-real).mean() + F.softplus(fake).mean()
    return F.softplus(fake.mean() - real).mean() + F.softplus(fake - real.mean()).mean()
