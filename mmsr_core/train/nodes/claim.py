"""Who may write into an expert's folder."""

import os
import platform
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from mmsr_core.errors import RecipeError
from mmsr_core.train.run import read_json, write_json

CLAIM = "claim.json"


@dataclass(frozen=True)
class Claim:
    """The right to write into an expert's folder: whoever took it last has it.

    A process on a node that was cut off goes on training. When its expert goes on elsewhere,
    nothing that it still has to save may replace what the other saved.
    """

    folder: Path
    token: str

    @classmethod
    def take(cls, folder: Path, node: str | None = None) -> Self:
        """Take the folder from whoever has it; `node` names this machine."""
        claim = cls(folder, uuid.uuid4().hex)
        for left in folder.glob("*.part"):  # by a process that was killed as it wrote
            left.unlink(missing_ok=True)
        facts = {"token": claim.token, "node": node or platform.node(), "process": os.getpid()}
        write_json(folder / CLAIM, facts)
        return claim

    def check(self) -> None:
        """RecipeError when another process has taken the folder since."""
        holder = read_json(self.folder / CLAIM)
        if holder["token"] != self.token:
            raise RecipeError(
                f"{self.folder}: process {holder['process']} on {holder['node']} trains this "
                "expert now; this one stops"
            )

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Write one of the folder's files, atomically; RecipeError when the claim is lost."""
        beside = self.folder / f"{self.token}.part"
        torch.save(state, beside)
        try:
            self.check()
            os.replace(beside, self.folder / name)
        finally:
            beside.unlink(missing_ok=True)
