"""The figures of a probe, kept one by one, so that an interrupted one goes on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Self

from mmsr_core.errors import MmsrError
from mmsr_core.runtime.atomic import replacing
from mmsr_massrl.datasets import Dataset
from mmsr_massrl.probing import Score
from mmsr_massrl.protocols import Ask, Key


@dataclass(frozen=True)
class Results:
    """What was measured: `facts` say of what and how, `scores` are in the order of measuring."""

    facts: Mapping[str, Any]
    scores: tuple[Score, ...] = ()

    @classmethod
    def open(
        cls, path: Path | None, encoder: Path, dataset: Dataset, ask: Ask, resume: bool
    ) -> Self:
        """Empty results, or with `resume` those in the file, if there is one.

        MmsrError when the file is in use without `resume`, is damaged, or is of something else.
        """
        facts = {
            "encoder": encoder.name,
            "sha256": hashlib.sha256(encoder.read_bytes()).hexdigest(),
            "data": dataset.name,
            "classes": len(dataset.classes),
            "train": len(dataset.train),
            "test": len(dataset.test),
            "held_out": dataset.held_out,
            "side": ask.side,
            "finetune": asdict(ask.schedule) | {"rates": list(ask.schedule.rates)},
        }
        if path is None or not path.exists():
            return cls(facts)
        if not resume:
            raise MmsrError(f"{path}: is there already; add --resume, or choose another --out")
        try:
            kept = json.loads(path.read_bytes())
            scores = tuple(Score(**row) for row in kept["scores"])
            before = {key: kept["facts"][key] for key in facts}
        except OSError as error:
            raise MmsrError(f"{path}: cannot read it ({error.strerror})") from None
        except (ValueError, TypeError, KeyError) as error:
            raise MmsrError(f"{path}: no figures of a probe ({error})") from None
        for key, value in facts.items():
            if before[key] != value:
                raise MmsrError(
                    f"{path}: its figures are for another {key}, {before[key]} and not {value}; "
                    "choose another --out"
                )
        return cls(facts, scores)

    @property
    def done(self) -> frozenset[Key]:
        """What needs no measuring any more."""
        return frozenset((score.protocol, score.labels, score.seed) for score in self.scores)

    def having(self, score: Score) -> Self:
        """These and one more."""
        return replace(self, scores=(*self.scores, score))

    def save(self, path: Path | None) -> None:
        """Write them in one step, if there is a path; MmsrError when that can't be."""
        if path is None:
            return
        text = json.dumps(self.as_json(), indent=2) + "\n"
        try:
            with replacing(path) as part:
                part.write_text(text, encoding="utf-8")
        except OSError as error:
            raise MmsrError(f"{path}: cannot write there ({error.strerror})") from None

    def as_json(self) -> dict[str, Any]:
        """Plain data: facts, summary and scores."""
        return {
            "facts": dict(self.facts),
            "summary": self.summary(),
            "scores": [score.as_json() for score in self.scores],
        }

    def summary(self) -> list[dict[str, Any]]:
        """Per protocol and share of the labels: means over the seeds, and `spread`, the sample
        standard deviation of top-1, None for one seed."""
        groups: dict[tuple[str, float], list[Score]] = {}
        for score in self.scores:
            groups.setdefault((score.protocol, score.labels), []).append(score)
        rows = []
        for (protocol, labels), mine in groups.items():
            firsts = [score.top1 for score in mine]
            fives = [score.top5 for score in mine if score.top5 is not None]
            rows.append(
                {
                    "protocol": protocol,
                    "labels": labels,
                    "seeds": len(mine),
                    "top1": mean(firsts),
                    "spread": stdev(firsts) if len(firsts) > 1 else None,
                    "top5": mean(fives) if fives else None,
                    "train": mine[0].train,
                    "test": mine[0].test,
                }
            )
        return rows
