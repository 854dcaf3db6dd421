"""Where training begins when it doesn't begin at random."""

from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import nn

from mmsr_core.errors import RecipeError


def begin_from(weights: Path, module: nn.Module, what: str) -> None:
    """Load another run's weights; what these lack stays as it is.

    RecipeError when they can't be read, or are none of `what` with the same options.
    """
    try:
        found = torch.load(weights, map_location="cpu", weights_only=True)
        strange = module.load_state_dict(found, strict=False).unexpected_keys
    except OSError as error:
        raise RecipeError(
            f"start: cannot read {weights} ({error.strerror}); train that run first"
        ) from None
    except (RuntimeError, AttributeError, UnpicklingError, EOFError):
        strange = ["all"]
    if strange:
        raise RecipeError(f"start: {weights} holds no weights of {what} with these options")
