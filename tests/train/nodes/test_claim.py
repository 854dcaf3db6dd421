import pytest
import torch

from mmsr_core.errors import RecipeError
from mmsr_core.train.nodes.claim import Claim


def test_who_took_the_folder_last_writes_into_it(tmp_path):
    Claim.take(tmp_path)
    Claim.take(tmp_path).save("state.pt", {"step": 2})
    assert torch.load(tmp_path / "state.pt") == {"step": 2}


def test_who_lost_the_folder_writes_nothing_and_hears_who_has_it(tmp_path):
    cut_off = Claim.take(tmp_path, "node-1")
    cut_off.save("state.pt", {"step": 1})
    Claim.take(tmp_path, "node-2")
    with pytest.raises(RecipeError, match=r"process \d+ on node-2 trains this expert now"):
        cut_off.save("state.pt", {"step": 2})
    assert torch.load(tmp_path / "state.pt") == {"step": 1}
    assert not list(tmp_path.glob("*.part"))


def test_what_a_killed_process_left_half_written_goes(tmp_path):
    (tmp_path / "of-another.part").write_bytes(b"half")
    Claim.take(tmp_path)
    assert not list(tmp_path.glob("*.part"))
