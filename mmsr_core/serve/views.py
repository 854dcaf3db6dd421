"""What the server answers in JSON."""

from typing import Any

from pydantic import BaseModel, Field

from mmsr_core.serve.problem import ProblemBody
from mmsr_core.serve.queue import Job, Queue, Status
from mmsr_core.serve.upscaling import Upscaling


class ModelView(BaseModel):
    """One model."""

    name: str
    version: str
    scale: int
    effort: float = Field(description="Its own balance of time and quality, in [0, 1].")
    classes: list[str]
    default: bool = Field(description="Whether it is taken where a request names none.")


class LimitsView(BaseModel):
    """What the server takes."""

    bytes: int = Field(description="Of a request.")
    pixels: int = Field(description="Of a picture.")
    seconds: float = Field(description="That a picture may be at work.")
    keep: float = Field(description="Seconds that a finished answer waits to be fetched.")


class ModelsView(BaseModel):
    """All models, and what the server takes."""

    models: list[ModelView]
    formats: list[str] = Field(description="Of answers.")
    limits: LimitsView
    device: str
    version: str = Field(description="Of mmsr.")


class Health(BaseModel):
    """Whether the server works."""

    status: str = Field(description='"ok", or "closing" when it finishes what it has.')
    waiting: int
    running: int


class JobView(BaseModel):
    """How far a job is."""

    id: str
    status: Status
    progress: float = Field(description="The share that is done, 0 to 1.")
    ahead: int = Field(description="Jobs before it in the queue.")
    seconds: float = Field(description="Until its answer is expected.")
    name: str = Field(description="What the answer's file is called.")
    size: tuple[int, int] = Field(description="Width and height of the picture.")
    upscaled: tuple[int, int] = Field(description="Width and height of the answer.")
    facts: dict[str, Any] = Field(description="How it went, as `mmsr upscale --json` has it.")
    problem: ProblemBody | None = Field(description="Why it failed.")


def job_view(job: Job, work: Upscaling, queue: Queue) -> JobView:
    """A job as it is now."""
    header = work.parcel.header
    return JobView(
        id=job.id,
        status=job.status,
        progress=round(job.share, 4),
        ahead=queue.position(job),
        seconds=round(queue.wait(job), 3),
        name=work.name,
        size=(header.width, header.height),
        upscaled=(work.size[1], work.size[0]),
        facts=work.facts if job.status == "done" else {},
        problem=None if job.problem is None else ProblemBody(**job.problem.body()),
    )
