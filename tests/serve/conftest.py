"""A server of a small model, in this process."""

from contextlib import contextmanager

import pytest
from fastapi.testclient import TestClient

from mmsr_core.serve.app import make_app
from mmsr_core.serve.models import Models
from mmsr_core.serve.settings import Limits

MEMORY = 2**29


@pytest.fixture(scope="session")
def models(upscaler):
    return Models([str(upscaler)], "cpu")


@pytest.fixture
def home(tmp_path):
    """Where the server keeps pictures."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def serving(models, home):
    """serving(**limits): a client of a server with such limits, as a context."""

    @contextmanager
    def start(batch=None, **limits):
        app = make_app(models, Limits(**{"jobs": 1, **limits}), MEMORY, home, batch)
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client

    return start


@pytest.fixture
def client(serving):
    with serving() as client:
        yield client
