from dataclasses import replace

import numpy as np
import pytest

from mmsr_core.errors import MmsrError
from mmsr_core.measure.pristine import Pristine

MODEL = Pristine(np.arange(36.0), np.eye(36), 12, 345, "made by a test", "CC0-1.0")


def test_a_model_comes_back_as_it_was_written(tmp_path):
    MODEL.write(tmp_path / "model.npz")
    found = Pristine.open(tmp_path / "model.npz")
    assert np.array_equal(found.mean, MODEL.mean)
    assert np.array_equal(found.covariance, MODEL.covariance)
    assert (found.photographs, found.blocks) == (12, 345)
    assert (found.source, found.licence) == ("made by a test", "CC0-1.0")
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


def test_one_model_is_always_the_same_bytes(tmp_path):
    for name in "ab":
        MODEL.write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_shipped_model_says_what_it_was_fitted_on():
    shipped = Pristine.open()
    assert "Cloudinary Image Dataset 2022" in shipped.source
    assert "CC BY-SA 4.0" in shipped.licence
    assert shipped.photographs == 205
    assert shipped.blocks > 1000


def test_the_shipped_models_covariance_is_one():
    covariance = Pristine.open().covariance
    assert np.array_equal(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > 0


def test_the_published_model_is_read_under_its_own_names(tmp_path):
    path = tmp_path / "published.npz"
    np.savez(path, mu_pris_param=np.ones((1, 36)), cov_pris_param=np.eye(36), gaussian_window=0)
    found = Pristine.open(path)
    assert found.mean.tolist() == [1.0] * 36
    assert "published" in found.source


def arrays(**changes):
    facts = {"format": 1, "mean": np.zeros(36), "covariance": np.eye(36)}
    facts |= {"photographs": 1, "blocks": 40, "source": "", "licence": ""}
    return {name: value for name, value in (facts | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (arrays(mean=None), "not a pristine model; make one with mmsr niqe"),
        (arrays(format=2), "newer than this mmsr reads"),
        (arrays(mean=np.zeros(35)), "36 features, not 35"),
        (arrays(covariance=np.full((36, 36), np.nan)), "not finite"),
        (arrays(source=np.array([{}], object)), "not an .npz file of plain arrays"),
    ],
)
def test_another_file_is_refused(tmp_path, facts, message):
    np.savez(tmp_path / "odd.npz", **facts)
    with pytest.raises(MmsrError, match=message):
        Pristine.open(tmp_path / "odd.npz")


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04 cut short"])
def test_what_is_no_npz_file_is_refused(tmp_path, content):
    (tmp_path / "odd.npz").write_bytes(content)
    with pytest.raises(MmsrError, match=r"odd\.npz: cannot read a pristine model"):
        Pristine.open(tmp_path / "odd.npz")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(MmsrError, match="No such file"):
        Pristine.open(tmp_path / "gone.npz")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(MmsrError, match="cannot write it"):
        replace(MODEL).write(tmp_path / "gone" / "model.npz")
