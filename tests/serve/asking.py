"""Pictures to send to a server, and what its answers are read with."""

import time

import cv2
import numpy as np


def png(height=24, width=32, seed=0, channels=3):
    """A PNG file of noise."""
    shape = (height, width, channels)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def send(client, content=None, path="/v1/upscale", name="photo.png", **fields):
    """Send a picture, a small PNG by default, with the other fields of the form."""
    files = {"image": (name, png() if content is None else content)}
    return client.post(path, files=files, data=fields)


def decoded(content):
    """RGB of an answer."""
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1]


def problem(answer, status):
    """Its detail, after everything else about it is checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert "\n" not in answer.json()["detail"]
    return answer.json()["detail"]


def ended(client, job, seconds=10.0):
    """What a job is in the end."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        found = client.get(f"/v1/jobs/{job['id']}").json()
        if found["status"] not in ("waiting", "running"):
            return found
        time.sleep(0.01)
    raise AssertionError("the job does not end")
