"""What training one expert took, and a depth table, with known figures."""

from typing import Any

DEPTHS = {
    "classes": ["SIMPLE", "MODERATE", "COMPLEX"],
    "experts": ["bicubic", "shallow", "deep"],
    "tiles": [1400, 0, 120],
    "psnr_y": [[40.1, 40.2, 39.8], None, [30.0, 30.5, 30.5]],
    "wins": [[0.3, 0.4, 0.3], None, [0.1, 0.2, 0.7]],
}
"""No tile is MODERATE, and two experts are equal on COMPLEX."""


def make_record(expert: str, **changes: Any) -> dict[str, Any]:
    """What training one expert took."""
    record = {
        "expert": expert,
        "backbone": "srgan",
        "depth": 16,
        "options": {},
        "discriminator": {"layers": 8},
        "classes": None,
        "tiles": 1000,
        "pixels": 2_304_000,
        "bytes": 100_000_000,
        "steps": 500,
        "adversarial_steps": 500,
        "batch": 16,
        "patch": 48,
        "parameters": 1_500_000,
        "seconds": 1000.0,
        "waited": 50.0,
        "loss": 0.1,
        "device": "cpu",
        "node": "host",
    }
    return record | changes
