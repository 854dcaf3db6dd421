"""Connecting to a Ray cluster that is not there."""

import socket

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
