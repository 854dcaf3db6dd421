"""Multi-augmentation self-supervision (MA-SSRL): an encoder that learns from unlabelled tiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsr_core.plugin.components import Extractor, PictureSource, Report
from mmsr_core.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import nn


def _build(
    *,
    weights: str = "",
    components: int = 0,
    encoder: str = "tile",
    width: float = 1.0,
    stem: str = "small",
) -> nn.Module:
    from mmsr_massrl.encoder import Config
    from mmsr_massrl.extractor import build_extractor

    config = Config(encoder, width, stem)  # type: ignore[arg-type]
    return build_extractor(weights, config, components)


def _pretrain(
    open_pictures: PictureSource,
    out: Path,
    report: Report,
    *,
    seed: int,
    resume: bool,
    device: str,
    search: bool = False,
    encoder: str = "tile",
    width: float = 1.0,
    stem: str = "small",
    policy: Sequence[str] = (),
    crop: str | None = None,
    views: int = 2,
    side: int | None = None,
    cut: int | None = None,
    batch: int = 256,
    epochs: float = 300,
    steps: int | None = None,
    rate: float = 0.3,
    warmup: float = 10,
    trust: float = 1e-3,
    tau: float = 0.99,
    hidden: int | None = None,
    precision: str = "32-true",
    save_every: int = 500,
) -> None:
    from mmsr_massrl.settings import Settings

    options: dict[str, Any] = {
        "encoder": encoder,
        "width": width,
        "stem": stem,
        "policy": tuple(policy),
        "crop": crop,
        "views": views,
        "side": side,
        "cut": cut,
        "batch": batch,
        "epochs": epochs,
        "steps": steps,
        "rate": rate,
        "warmup": warmup,
        "trust": trust,
        "tau": tau,
        "hidden": hidden,
        "precision": precision,
        "save_every": save_every,
    }
    settings = Settings.chosen(options)
    if search:
        from mmsr_massrl.search import search_policy

        search_policy(open_pictures, out, report, settings, seed, device)
        return
    from mmsr_massrl.pretrain import pretrain

    pretrain(open_pictures, out, report, settings, seed, resume, device)


@hookimpl
def register_extractors() -> Iterable[Extractor]:
    yield Extractor(
        name="massrl",
        summary="an encoder that learned from unlabelled images by MA-SSRL",
        build=_build,
        pretrain=_pretrain,
    )
