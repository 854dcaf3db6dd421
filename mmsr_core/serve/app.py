"""The HTTP API, and the page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Form, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from mmsr_core import __version__
from mmsr_core.runtime.memory import Budget
from mmsr_core.serve import views
from mmsr_core.serve.foresight import Foresight, PlansView
from mmsr_core.serve.gate import Gate
from mmsr_core.serve.intake import Intake, Model, finished, order, refuse_others
from mmsr_core.serve.meters import Meters
from mmsr_core.serve.models import Models
from mmsr_core.serve.order import MEDIA, Order
from mmsr_core.serve.order import Form as Format
from mmsr_core.serve.problem import MEDIA as PROBLEM
from mmsr_core.serve.problem import Problem, ProblemBody, responses
from mmsr_core.serve.queue import Job, Queue
from mmsr_core.serve.settings import Limits
from mmsr_core.serve.upscaling import Upscaling

PAGE = Path(__file__).parent / "page"
FORMATS = ("png", "jpg", "webp", "tiff", "avif")
Asked = Annotated[Order, Depends(order)]
TAKING = responses(400, 401, 403, 408, 413, 415, 422, 429, 503)
ASKING = responses(401, 404)
PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The upscaled picture.",
        "content": {
            media: {"schema": {"type": "string", "format": "binary"}}
            for media in dict.fromkeys(MEDIA.values())
        },
    }
}
"""What the routes below answer with, for OpenAPI."""


def _of(media: str, what: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": what, "content": {media: {"schema": {"type": "string"}}}}}


def make_app(
    models: Models, limits: Limits, memory: int, home: Path, batch: int | None = None
) -> FastAPI:
    """The application, as ASGI servers run it; its queue is `app.state.queue`.

    `memory` bounds what the pictures at work hold; `home` and `batch` are as of `Intake`.
    """
    meters = Meters()
    queue = Queue(limits, meters.job)
    intake = Intake(models, queue, limits, Budget(memory), home, batch)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        queue.open()
        yield
        queue.close()

    app = FastAPI(
        title="mmsr",
        version=__version__,
        summary="Upscale pictures: every tile gets the cheapest network that does it justice.",
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
    )
    app.state.queue = queue
    app.add_middleware(Gate, limits=limits, count=meters.request)
    _tell_problems(app)
    _add_work(app, intake)
    _add_jobs(app, queue)
    _add_state(app, models, queue, limits, meters)
    _add_page(app)
    return app


def _add_work(app: FastAPI, intake: Intake) -> None:
    queue = intake.queue

    @app.post(
        "/v1/upscale", response_class=Response, responses=PICTURE | TAKING, operation_id="upscale"
    )
    async def upscale(request: Request, image: UploadFile, order: Asked) -> Response:
        """Upscale a picture and wait for it. Whoever hangs up ends the work."""
        if order.map:
            raise Problem(422, "a map needs a job: send the picture to /v1/jobs")
        job = await intake.upscaling(image, order, lasting=False)
        await finished(request, job, queue)
        return _answer(job, _upscaling(job), BackgroundTask(job.work.drop))

    @app.post("/v1/jobs", status_code=202, responses=TAKING, operation_id="submit")
    async def submit(image: UploadFile, order: Asked, response: Response) -> views.JobView:
        """Upscale a picture; ask for it later."""
        job = await intake.upscaling(image, order, lasting=True)
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return views.job_view(job, _upscaling(job), queue)

    @app.post("/v1/plans", responses=TAKING, operation_id="plan")
    async def plan(
        request: Request,
        image: UploadFile,
        model: Model = None,
        format: Annotated[Format | None, Form(description="Of the answer.")] = None,
    ) -> PlansView:
        """What a picture would take at every effort, and which route would answer where."""
        await refuse_others(request, ("image", "model", "format"))
        job = await intake.foresight(image, model, format)
        try:
            await finished(request, job, queue)
            assert isinstance(job.work, Foresight)
            return job.work.views[0]
        finally:
            job.work.drop()


def _add_jobs(app: FastAPI, queue: Queue) -> None:
    @app.get("/v1/jobs/{id}", responses=ASKING, operation_id="job")
    async def look(id: str) -> views.JobView:
        """How far a job is."""
        job = queue.find(id)
        return views.job_view(job, _upscaling(job), queue)

    @app.delete(
        "/v1/jobs/{id}",
        status_code=204,
        responses=ASKING,
        response_class=Response,
        operation_id="drop",
    )
    async def drop(id: str) -> Response:
        """End a job, and forget its answer."""
        queue.drop(queue.find(id))
        return Response(status_code=204)

    @app.get(
        "/v1/jobs/{id}/image",
        response_class=Response,
        responses=PICTURE | responses(401, 404, 409, 422, 500, 503),
        operation_id="image",
    )
    async def image(id: str) -> Response:
        """The answer of a job, once it is done."""
        job = _done(queue.find(id))
        job.fetched = True
        return _answer(job, _upscaling(job))

    @app.get(
        "/v1/jobs/{id}/map",
        response_class=Response,
        responses=_of("image/png", "The painted map.") | responses(401, 404, 409, 422, 500, 503),
        operation_id="map",
    )
    async def painted(id: str) -> Response:
        """Which class answered where, painted over the picture, where the job was to paint it."""
        job = _done(queue.find(id))
        path = _upscaling(job).map
        if not path.exists():
            raise Problem(404, "this job paints no map; send map=true with the picture")
        return FileResponse(path, media_type="image/png")


def _add_state(app: FastAPI, models: Models, queue: Queue, limits: Limits, meters: Meters) -> None:
    @app.get("/v1/models", responses=responses(401), operation_id="models")
    async def show() -> views.ModelsView:
        """The models, and what the server takes."""
        return views.ModelsView(
            models=[
                views.ModelView(
                    name=name,
                    version=manifest.version,
                    scale=manifest.scale,
                    effort=manifest.effort.default,
                    classes=list(manifest.classes),
                    default=name == models.default,
                )
                for name, manifest in models.manifests.items()
            ],
            formats=list(FORMATS),
            limits=views.LimitsView(
                bytes=limits.body, pixels=limits.pixels, seconds=limits.seconds, keep=limits.keep
            ),
            device=models.device,
            version=__version__,
        )

    @app.get("/health", operation_id="health")
    async def health(response: Response) -> views.Health:
        """Whether the server works; 503 once it takes no more."""
        waiting, running, _ = queue.counts()
        response.status_code = 503 if queue.closing else 200
        state = "closing" if queue.closing else "ok"
        return views.Health(status=state, waiting=waiting, running=running)

    @app.get(
        "/metrics",
        response_class=Response,
        responses=_of("text/plain", "For Prometheus.") | responses(401),
        operation_id="metrics",
    )
    async def metrics() -> Response:
        """Counters, as Prometheus reads them."""
        return Response(meters.text(queue), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/page", StaticFiles(directory=PAGE))


def _tell_problems(app: FastAPI) -> None:
    """Every error is a problem, whoever raised it."""

    @app.exception_handler(Problem)
    async def known(request: Request, problem: Problem) -> JSONResponse:
        return problem.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = str(first["loc"][-1]) if first["loc"] else "the request"
        more = len(error.errors()) - 1
        also = f" (and {more} more)" if more else ""
        return Problem(422, f"{place[:80]}: {first['msg']}{also}").response()

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return Problem(error.status_code, str(error.detail), error.headers).response()

    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = made()
            parts = schema["components"]["schemas"]
            parts["ProblemBody"] = ProblemBody.model_json_schema()
            for path in schema["paths"].values():
                for operation in path.values():
                    found = operation["responses"]
                    if "422" in found and PROBLEM not in found["422"]["content"]:
                        found |= {"422": responses(422)[422]}
            for unused in ("HTTPValidationError", "ValidationError"):
                parts.pop(unused, None)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # how FastAPI has it extended


def _upscaling(job: Job) -> Upscaling:
    assert isinstance(job.work, Upscaling)  # no other work lasts
    return job.work


def _done(job: Job) -> Job:
    if job.problem is not None:
        raise job.problem
    if job.status != "done":
        raise Problem(409, f"the job is {job.status}, {job.share:.0%} of it done; ask again later")
    return job


def _answer(job: Job, work: Upscaling, after: BackgroundTask | None = None) -> FileResponse:
    """An answer's file, and how it went."""
    facts = work.facts
    spent = facts.get("stages") or {"upscale": facts["seconds"]}
    timing = ", ".join(f"{stage};dur={1000 * seconds:.1f}" for stage, seconds in spent.items())
    headers = {"Server-Timing": timing, "X-Mmsr-Cost": str(facts["cost"])}
    return FileResponse(
        work.target,
        headers=headers,
        media_type=MEDIA[work.suffix],
        filename=work.name,
        content_disposition_type="inline",
        background=after,
    )
