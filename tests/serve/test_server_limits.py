"""Keys, a full queue, time limits, clients that leave, and a server that is about to end."""

import threading
import time

import pytest
from asking import ended, png, problem, send

from mmsr_core.errors import MmsrError
from mmsr_core.serve.settings import read_keys


@pytest.fixture
def gate(models, monkeypatch):
    """While it is not set, the engine stands still, asking every moment whether to go on."""
    opened = threading.Event()
    engine = models.open(None).engine
    bands = engine.bands

    def held(image, effort, overlap, progress, *others):
        while not opened.wait(0.01):
            progress(0.25)
        return bands(image, effort, overlap, progress, *others)

    monkeypatch.setattr(engine, "bands", held)
    yield opened
    opened.set()


def until(condition, seconds=10.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it does not happen"
        time.sleep(0.01)


def test_a_full_queue_is_429_and_says_when_to_come_back(serving, gate):
    with serving(queue=2) as client:
        first = send(client, path="/v1/jobs").json()
        until(lambda: client.get("/health").json()["running"] == 1)
        rest = [send(client, path="/v1/jobs").json() for _ in range(2)]
        assert [job["ahead"] for job in rest] == [0, 1]
        for path in ("/v1/upscale", "/v1/jobs", "/v1/plans"):
            refused = send(client, path=path)
            assert "queue is full" in problem(refused, 429)
            assert int(refused.headers["retry-after"]) >= 1
        gate.set()
        assert [ended(client, job)["status"] for job in (first, *rest)] == ["done"] * 3
        assert send(client).status_code == 200


def test_a_job_at_work_tells_its_progress_and_is_not_ready(serving, gate):
    with serving() as client:
        job = send(client, path="/v1/jobs").json()
        until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["progress"] == 0.25)
        assert "25%" in problem(client.get(f"/v1/jobs/{job['id']}/image"), 409)


def test_a_dropped_job_ends_and_frees_its_worker(serving, gate, home):
    with serving() as client:
        running, waiting = (send(client, path="/v1/jobs").json() for _ in range(2))
        until(lambda: client.get("/health").json()["running"] == 1)
        for job in (waiting, running):
            assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
        until(lambda: client.get("/health").json() == {"status": "ok", "waiting": 0, "running": 0})
        until(lambda: not list(home.iterdir()))
        assert 'mmsr_jobs_total{status="cancelled"} 2.0' in client.get("/metrics").text


def test_a_picture_that_takes_too_long_is_503(serving, gate):
    with serving(seconds=0.1) as client:
        assert "took longer than 0.1 s" in problem(send(client), 503)


def test_an_error_that_nobody_foresaw_is_500_without_its_words(serving, models, monkeypatch):
    def broken(*_):
        raise RuntimeError("the secret at /etc/secret")

    monkeypatch.setattr(models.open(None).engine, "bands", broken)
    with serving() as client:
        assert "secret" not in problem(send(client), 500)


def test_a_server_that_is_about_to_end_takes_nothing_new_but_finishes(serving, gate):
    with serving() as client:
        job = send(client, path="/v1/jobs").json()
        client.app.state.queue.closing = True
        assert "about to end" in problem(send(client), 503)
        health = client.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "closing")
        gate.set()
        assert ended(client, job)["status"] == "done"
        assert client.get(f"/v1/jobs/{job['id']}/image").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Basic one"}, 401),
        ({"Authorization": "Bearer two"}, 200),
        ({"X-API-Key": "one"}, 200),
    ],
)
def test_where_there_are_keys_only_who_has_one_is_let_in(serving, headers, status):
    with serving(keys=("one", "two")) as client:
        client.headers.update(headers)
        for answer in (send(client), client.get("/v1/models"), client.get("/metrics")):
            assert answer.status_code == status
        if status == 401:
            assert send(client).headers["www-authenticate"] == "Bearer"


def test_the_page_and_the_health_need_no_key(serving):
    with serving(keys=("one",)) as client:
        for path in ("/", "/page/app.js", "/health", "/openapi.json"):
            assert client.get(path).status_code == 200


def test_another_sites_page_may_not_send_pictures(client):
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = client.post("/v1/upscale", files={"image": ("a.png", png())}, headers=headers)
    problem(answer, 403)


def test_keys_are_read_one_a_line(tmp_path):
    path = tmp_path / "keys"
    path.write_text("# ours\none\n\n  two \n")
    assert read_keys(path) == ("one", "two")
    path.write_text("# none\n")
    for wrong in (path, tmp_path / "missing"):
        with pytest.raises(MmsrError, match=str(wrong)):
            read_keys(wrong)


def test_metrics_count_pictures_and_requests(client):
    send(client)
    send(client, b"no picture")
    text = client.get("/metrics").text
    assert 'mmsr_requests_total{path="/v1/upscale",status="200"} 1.0' in text
    assert 'mmsr_requests_total{path="/v1/upscale",status="415"} 1.0' in text
    assert 'mmsr_jobs_total{status="done"} 1.0' in text
    assert f"mmsr_upscaled_pixels_total {64 * 48:.1f}" in text
    assert 'mmsr_stage_seconds_total{stage="experts"}' in text


def test_models_and_limits_are_told(serving):
    with serving(pixels=10**6) as client:
        told = client.get("/v1/models").json()
        assert [(model["name"], model["scale"]) for model in told["models"]] == [("tiny-x2", 2)]
        assert told["limits"]["pixels"] == 10**6
        assert "avif" in told["formats"]
