"""How good an encoder's representation is: linear, nearest neighbours, fine-tuned (section 3.4)."""

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from mmsr_massrl import finetune, linear
from mmsr_massrl.datasets import Dataset, labelled_rows
from mmsr_massrl.finetune import Schedule
from mmsr_massrl.labelled import Ints
from mmsr_massrl.neighbours import K, knn_scores
from mmsr_massrl.probing import Features, Report, Score, accuracy, embed, top5

PROTOCOLS = {
    "linear": ("linear",),
    "knn": ("knn",),
    "finetune": ("finetune",),
    "transfer": ("linear", "finetune"),
}
"""Transfer is both, on another data set than the encoder learned from."""
Key = tuple[str, float, int]
"""Protocol, share of the labels, seed."""


@dataclass(frozen=True)
class Ask:
    """What to measure: protocols × shares of the labels × seeds, on images of one side."""

    protocols: tuple[str, ...]
    """Of the values of `PROTOCOLS`."""
    labels: tuple[float, ...]
    seeds: int
    side: int
    schedule: Schedule
    """Of fine-tuning."""

    @property
    def keys(self) -> tuple[Key, ...]:
        """Everything that is asked for, in order."""
        return tuple(
            (protocol, share, seed)
            for protocol in self.protocols
            for share in self.labels
            for seed in range(self.seeds)
        )


def probe(
    encoder: nn.Module,
    dataset: Dataset,
    ask: Ask,
    device: torch.device,
    report: Report,
    done: Collection[Key] = (),
) -> Iterator[Score]:
    """The scores one by one, but for those that are `done`; `encoder` has one of `names` for each
    of its features, and stays as it is.

    MmsrError when a share of the labels leaves a class empty, before anything is computed, or the
    encoder can't take the images.
    """
    keys = [key for key in ask.keys if key not in done]
    rows = {(share, seed): labelled_rows(dataset, share, seed) for _, share, seed in keys}
    if keys:  # the images are needed once for every key
        train, test = dataset.train.held(ask.side), dataset.test.held(ask.side)
        dataset = replace(dataset, train=train, test=test)
    names: Any = encoder.names
    frozen: tuple[Features, Features] | None = None
    for protocol, share, seed in keys:
        if protocol != "finetune" and frozen is None:
            frozen = (
                embed(encoder, dataset.train, ask.side, device, report, "features, train"),
                embed(encoder, dataset.test, ask.side, device, report, "features, test"),
            )
        started = time.perf_counter()
        mine = rows[share, seed]
        if protocol == "finetune":
            told, truth, settings = _finetuned(
                encoder, len(names), dataset, mine, ask, seed, device, report
            )
        else:
            assert frozen is not None
            known, asked = frozen[0].pick(mine), frozen[1]
            told, settings = _frozen(protocol, known, asked, len(dataset.classes), seed)
            truth = asked.labels
            report(f"{protocol}: {len(mine)} labels, seed {seed}", 1, 1)
        yield Score(
            protocol=protocol,
            labels=share,
            seed=seed,
            top1=accuracy(told, truth),
            top5=top5(told, truth),
            settings=settings,
            train=len(mine),
            test=len(truth),
            seconds=time.perf_counter() - started,
        )


def _frozen(
    protocol: str, train: Features, test: Features, classes: int, seed: int
) -> tuple[torch.Tensor, Mapping[str, Any]]:
    if protocol == "knn":
        k = min(K, len(train))
        return knn_scores(train, test.values, classes, k), {"k": k}
    rate = linear.best_rate(train, classes, linear.RATES, seed)
    return linear.fit_linear(train, classes, [rate], seed).scores(test.values)[0], {"rate": rate}


def _finetuned(
    encoder: nn.Module,
    features: int,
    dataset: Dataset,
    rows: Ints,
    ask: Ask,
    seed: int,
    device: torch.device,
    report: Report,
) -> tuple[torch.Tensor, torch.Tensor, Mapping[str, Any]]:
    images, classes, schedule = dataset.train.pick(rows), len(dataset.classes), ask.schedule
    rate = finetune.best_rate(
        encoder, features, images, classes, ask.side, schedule, seed, device, report
    )
    model = finetune.finetune(
        encoder, features, images, classes, ask.side, rate, schedule, seed, device, report
    )
    settings = {"rate": rate, "epochs": schedule.epochs, "batch": schedule.batch}
    return *finetune.predict(model, dataset.test, ask.side, device), settings
