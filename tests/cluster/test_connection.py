"""Connecting to a Ray cluster that is not there, or not any more."""

import os
import socket
import subprocess
import sys

import pytest

from mmsr_core.cluster import connection
from mmsr_core.cluster.connection import connected
from mmsr_core.errors import ClusterError


def test_nothing_at_an_address_is_one_line_at_once(monkeypatch):
    monkeypatch.setattr(connection, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with (
            pytest.raises(ClusterError, match=f"no Ray cluster answers at {address}"),
            connected(address),
        ):
            pass
    for address in ("127.0.0.1:1", "somewhere", ":", "[::1]:1"):
        with pytest.raises(ClusterError, match="no Ray cluster answers at"), connected(address):
            pass


LOST = """
import sys, time
import ray
from ray._private import worker
from mmsr_core.cluster.connection import connected

with connected("local"):
    getattr(worker._global_node, f"kill_{sys.argv[1]}")()
    while True:
        ray.put(bytes(2**20))
        ray.nodes()
        time.sleep(0.1)
"""
LEFT = """
import time
from mmsr_core.cluster.connection import connected
from mmsr_core.cluster.errand import Errand
from mmsr_core.cluster.many import alive, crew_for, each_on_nodes
from mmsr_core.errors import ClusterError, DeviceError

def refuse(share):
    raise DeviceError("no model")

try:
    with connected("local"):
        list(each_on_nodes(refuse, [Errand("s3://a", "s3://b")] * 4, crew_for(alive(), 4)))
except ClusterError as error:
    print(error)
time.sleep(3)
"""


def run(code, *words):
    """Another process, in which Ray takes a cluster for lost after a second, not 60."""
    soon = {"RAY_gcs_rpc_server_reconnect_timeout_s": "1", "RAY_worker_niceness": "0"}
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, env=os.environ | soon, capture_output=True, text=True)


@pytest.mark.parametrize("part", ["gcs_server", "raylet"])
def test_who_loses_the_cluster_is_ended_with_one_line(part):
    ended = run(LOST, part)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"{connection._LAST_WORDS}\n"


def test_who_left_a_batch_early_outlives_its_cluster():
    ended = run(LEFT)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("on node ")
    assert ended.stdout.endswith(": no model\n")
