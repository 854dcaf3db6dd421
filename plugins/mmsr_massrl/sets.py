"""The policies that have a name."""

from itertools import permutations
from pathlib import Path

from mmsr_core.errors import RecipeError, no_such
from mmsr_massrl.crops import Crop
from mmsr_massrl.policies import Policy, Random, Step, Strategy, View, read_policy
from mmsr_massrl.published import CIFAR, IMAGENET, subpolicies

INCEPTION = Crop(kind="inception", low=0.08, high=1.0)
UNIFORM = Crop(kind="uniform", low=0.5, high=1.0)
WINDOW = Crop(kind="window")
HARMLESS = ("Invert", "Color", "rand_saturation", "rand_hue", "color_drop")
"""Operations that leave sharpness, and the strength of noise and texture, what they are."""
CROPS = {"inception": INCEPTION, "uniform": UNIFORM, "window": WINDOW}


def _jittered(strength: float, saturation: float, after: tuple[Step, ...]) -> tuple[Strategy, ...]:
    """SimCLR's colour jitter, in any order, on four images of five, then what comes after it."""
    jitter: tuple[Step, ...] = (
        ("rand_brightness", 1, strength),
        ("rand_contrast", 1, strength),
        ("rand_saturation", 1, saturation),
        ("rand_hue", 1, strength),
    )
    orders = tuple((*order, *after) for order in permutations(jitter))
    return Strategy(weight=4, subpolicies=orders), Strategy(weight=1, subpolicies=(after,))


def _byol(blurred: float, solarized: float) -> View:
    after: tuple[Step, ...] = (
        ("color_drop", 0.2, 0),
        ("rand_blur", blurred, 1),
        ("Solarize", solarized, 0.5),
    )
    return View(crop=INCEPTION, strategies=_jittered(0.5, 0.25, after))


def _simclr() -> View:
    # SimCLR's appendix on CIFAR-10: half the strength, and no blur.
    return View(crop=INCEPTION, strategies=_jittered(0.5, 0.5, (("color_drop", 0.2, 0),)))


def _auto(table: str) -> Strategy:
    return Strategy(subpolicies=subpolicies(table))


def _named() -> dict[str, tuple[View, ...]]:
    rand = Strategy(random=Random(count=2, level=0.9))
    return {
        "massrl": (View(strategies=(_auto(IMAGENET), rand)),),
        "massrl-small": (View(strategies=(_auto(CIFAR), rand)),),
        "byol": (_byol(1.0, 0.0), _byol(0.1, 0.2)),
        "simclr-small": (_simclr(),),
        "autoaugment": (View(strategies=(_auto(IMAGENET),)),),
        "autoaugment-small": (View(strategies=(_auto(CIFAR),)),),
        "randaugment": (View(strategies=(rand,)),),
        "tile": (
            View(
                crop=WINDOW,
                turns=True,
                strategies=(Strategy(random=Random(count=2, level=0.5, ops=HARMLESS)),),
            ),
        ),
        "crop": (View(),),
    }


NAMES = (
    "massrl",
    "massrl-small",
    "byol",
    "simclr-small",
    "autoaugment",
    "autoaugment-small",
    "randaugment",
    "tile",
    "crop",
)


def named_policy(name: str) -> Policy:
    """A policy by its name, or from a file whose name ends in .json.

    "randaugment:N,M" is RandAugment with N operations at magnitude M of 10. RecipeError when
    there is none of that name, or its file is not one.
    """
    if name.endswith(".json"):
        return read_policy(Path(name))
    kind, _, numbers = name.partition(":")
    if kind == "randaugment" and numbers:
        return _randaugment(name, numbers)
    views = _named()
    if name not in views:
        raise RecipeError(f"{no_such('policy', name, views, 'there are')}, or a file NAME.json")
    return Policy(name=name, views=views[name])


def _randaugment(name: str, numbers: str) -> Policy:
    try:
        count, magnitude = numbers.split(",")
        n, level = int(count), float(magnitude) / 10
        if n < 1 or not 0 <= level <= 1:
            raise ValueError
    except ValueError:
        raise RecipeError(
            f'policy "{name}": randaugment:N,M takes N operations, 1 or more, at a magnitude M '
            "from 0 to 10; the paper's is randaugment:2,9"
        ) from None
    return Policy(
        name=name, views=(View(strategies=(Strategy(random=Random(count=n, level=level)),)),)
    )
