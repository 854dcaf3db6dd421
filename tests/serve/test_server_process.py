"""`mmsr serve` as a process: its port, its signals, and clients that hang up."""

import json
import signal
import socket
import time

from asking import png
from running import body, request, server, started


def asked(port, path):
    return json.loads(request(port, "GET", path).getresponse().read())


def test_a_client_that_hangs_up_frees_its_job(upscaler):
    with server(upscaler, "--jobs", 1) as (_, port):
        large = body(png(1500, 1500), effort=1)
        connection = request(port, "POST", "/v1/upscale", large)
        limit = time.monotonic() + 10
        while asked(port, "/health")["running"] == 0:
            assert time.monotonic() < limit
        connection.close()
        while asked(port, "/health")["running"]:
            assert time.monotonic() < limit
        metrics = request(port, "GET", "/metrics").getresponse().read().decode()
        assert 'mmsr_jobs_total{status="cancelled"} 1.0' in metrics
        assert request(port, "POST", "/v1/upscale", body(png())).getresponse().status == 200


def test_asked_to_end_it_finishes_what_it_has_and_leaves_with_zero(upscaler, tmp_path):
    with server(upscaler, "--jobs", 1, "--grace", 20) as (process, port):
        connection = request(port, "POST", "/v1/upscale", body(png(400, 400)))
        while asked(port, "/health")["running"] == 0:
            pass
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        refused = request(port, "POST", "/v1/upscale", body(png())).getresponse()
        assert refused.status == 503
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:4]) == (200, b"\x89PNG")
        assert process.wait(10) == 0
        assert "Traceback" not in process.stderr.read()


def test_a_port_in_use_is_one_line(upscaler):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = started("--port", taken.getsockname()[1], "--model", upscaler)
        _, told = process.communicate(timeout=20)
    assert process.returncode == 1
    assert told.startswith("mmsr: error: 127.0.0.1:")
    assert "choose another" in told
    assert told.count("\n") == 1


def test_without_the_extra_it_says_what_to_install(upscaler):
    process = started("--port", 0, refused={"fastapi"})
    _, told = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "pip install 'mmsr[serve]'" in told
    assert told.count("\n") == 1


def test_a_model_that_is_not_there_is_one_line():
    process = started("--port", 0, "--model", "nothing-x4")
    _, told = process.communicate(timeout=20)
    assert (process.returncode, told.count("\n")) == (1, 1)
