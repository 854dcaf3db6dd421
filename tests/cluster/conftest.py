"""A Ray cluster of two nodes on this machine."""

import os
from contextlib import suppress

import numpy as np
import pytest

from mmsr_core.runtime.image import Image, write

os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # before anybody imports Ray

QUICK = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
    "worker_niceness": 0,
}
"""A lost node is noticed soon, and actors need not wait until the machine is idle."""


@pytest.fixture(scope="session")
def s3():
    """The URL of moto's S3 server on this machine, which the environment names to all."""
    pytest.importorskip("moto", reason="needs moto[server]")
    pytest.importorskip("s3fs", reason="needs s3fs")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret"}
    os.environ |= keys | {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1"}
    yield url
    server.stop()


@pytest.fixture
def bucket(s3):
    """An S3 bucket, as fsspec opens it; its name is "shop"."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    store = s3fs.S3FileSystem()
    if store.exists("shop"):
        store.rm("shop", recursive=True)
    store.mkdir("shop")
    return store


@pytest.fixture(scope="module")
def cluster(request):
    with suppress(pytest.skip.Exception):
        request.getfixturevalue("s3")  # its place is in the environment of the nodes
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": QUICK}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def photos(tmp_path):
    """A folder with images at two levels."""
    for seed, name in enumerate(("a.png", "b.jpg", "deep/er/c.webp")):
        rgb = np.random.default_rng(seed).random((20, 30, 3), np.float32)
        write(tmp_path / "photos" / name, Image(rgb))
    return tmp_path / "photos"
