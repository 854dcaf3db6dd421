"""Jobs: sent once, asked about, fetched, dropped; and the plans of a picture."""

import time

import pytest
from asking import decoded, ended, png, problem, send


def test_a_job_is_asked_about_fetched_and_dropped(client):
    sent = send(client, path="/v1/jobs", map="true")
    assert (sent.status_code, sent.headers["location"]) == (202, f"/v1/jobs/{sent.json()['id']}")
    job = ended(client, sent.json())
    assert (job["status"], job["progress"], job["upscaled"]) == ("done", 1.0, [64, 48])
    assert set(job["facts"]["classes"]) == {"SIMPLE", "COMPLEX"}
    at = sent.headers["location"]
    assert client.get(f"{at}/image").content == send(client).content
    assert decoded(client.get(f"{at}/map").content).shape[1] == 64
    assert client.delete(at).status_code == 204
    problem(client.get(at), 404)


def test_a_job_that_fails_says_why(client):
    job = ended(client, send(client, png()[:1500], "/v1/jobs").json())
    assert (job["status"], job["problem"]["status"]) == ("failed", 422)
    assert "damaged" in problem(client.get(f"/v1/jobs/{job['id']}/image"), 422)


def test_a_job_without_a_map_has_none(client):
    job = ended(client, send(client, path="/v1/jobs").json())
    assert "map=true" in problem(client.get(f"/v1/jobs/{job['id']}/map"), 404)


def test_an_answer_that_nobody_fetches_is_dropped(serving, home):
    with serving(keep=0.2) as client:
        job = ended(client, send(client, path="/v1/jobs").json())
        assert len(list(home.iterdir())) == 1
        time.sleep(0.25)
        problem(client.get(f"/v1/jobs/{job['id']}"), 404)
        assert list(home.iterdir()) == []


def test_the_plans_of_a_picture_cover_it_at_every_effort(client, models):
    plans = send(client, png(20, 30), "/v1/plans").json()
    assert (plans["size"], plans["upscaled"], plans["cell"]) == ([30, 20], [60, 40], 8)
    efforts = [plan["effort"] for plan in plans["plans"]]
    assert efforts == sorted(efforts)
    assert (efforts[0], efforts[-1]) == (0.0, 1.0)
    assert [plan["effort"] for plan in plans["plans"] if plan["default"]] == [0.5]
    for plan in plans["plans"]:
        assert [len(row) for row in plan["routes"]] == [4, 4, 4]
        assert set("".join(plan["routes"])) <= {"0", "1"}
    assert set("".join(plans["plans"][-1]["routes"])) == {"1"}
    costs = [plan["cost"] for plan in plans["plans"]]
    assert costs == sorted(costs)


def test_a_plan_is_that_of_the_upscaling(client):
    content = png(64, 64)
    plans = send(client, content, "/v1/plans").json()
    for plan in plans["plans"]:
        answer = send(client, content, effort=str(plan["effort"]))
        assert float(answer.headers["x-mmsr-cost"]) == pytest.approx(plan["cost"], abs=1e-4)


def test_pictures_that_wait_together_become_the_same_as_alone(serving):
    contents = [png(24, 32, seed) for seed in range(4)]
    with serving() as alone:
        expected = [send(alone, content).content for content in contents]
    with serving(batch=10**6) as client:
        assert client.app.state.queue is not None
        jobs = [send(client, content, "/v1/jobs").json() for content in contents]
        ends = [ended(client, job) for job in jobs]
        assert [job["status"] for job in ends] == ["done"] * 4
        got = [client.get(f"/v1/jobs/{job['id']}/image").content for job in jobs]
    assert [decoded(one).tolist() for one in got] == [decoded(one).tolist() for one in expected]
