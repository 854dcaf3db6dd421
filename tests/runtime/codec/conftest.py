import pytest
from codecs_made import open_codec

from mmsr_core.runtime.codec.file import Codecs


@pytest.fixture(scope="session")
def codec(tmp_path_factory):
    """A codec, opened."""
    return open_codec(tmp_path_factory.mktemp("codecs") / "tiny")


@pytest.fixture
def notices():
    """The lines that opening files gave rise to."""
    return []


@pytest.fixture
def codecs(codec, notices):
    """What opens `.mmc` files here, whatever codec they name."""
    return Codecs(lambda name, version: codec, notices.append)
