import cv2
import numpy as np
import pytest
import torch

from mmsr_core.errors import RecipeError
from mmsr_core.train.codec import fit
from mmsr_core.train.codec.photographs import Patches, find_photographs, load_photographs
from mmsr_core.train.codec.recipe import CodecFit
from mmsr_core.train.codec.run import CodecRun
from mmsr_core.train.codec.stages import make_codec_draft, train_codec
from mmsr_onnx.codec import export_codec


class Interrupted(Exception):
    pass


def quiet(what, done, total):
    pass


@pytest.fixture
def root(tmp_path, make_photos):
    make_photos(tmp_path / "photos", count=5, height=184, width=180)
    return tmp_path


@pytest.fixture
def train(root, codecs, make_recipe):
    def train(out, recipe=None, report=quiet, resume=False):
        return train_codec(recipe or make_recipe(), root, root / out, codecs, report, resume)

    return train


def weights(run, codecs):
    return torch.cat([value.flatten() for value in run.trained(codecs).state_dict().values()])


def test_training_ends_in_weights_tables_and_rising_qualities(train, codecs):
    run = train("run")
    qualities = run.scores()["qualities"]
    rates = [point["bpp"] for point in qualities]
    assert rates == sorted(rates)
    assert qualities[-1]["bits"] == 8
    assert qualities[-1]["psnr"] > qualities[0]["psnr"]
    assert run.tables()[:2] == b"PK"
    assert not torch.equal(weights(run, codecs), weights_of_no_step(run, codecs))


def test_learning_tables_is_reported_as_it_goes_on(train):
    told = []
    train("run", report=lambda what, done, total: told.append((what, done, total)))
    assert [(d, n) for what, d, n in told if what == "tables"] == [(k, 8) for k in range(1, 9)]


def weights_of_no_step(run, codecs):
    return torch.cat([value.flatten() for value in run.build(codecs).state_dict().values()])


def test_an_interrupted_run_ends_where_an_unbroken_one_does(train, codecs, monkeypatch):
    whole = train("whole")
    rate_of = fit.learning_rate

    def stop(step, last, settings):
        if step == 4:  # the last checkpoint is of step 3
            raise Interrupted
        return rate_of(step, last, settings)

    monkeypatch.setattr(fit, "learning_rate", stop)
    with pytest.raises(Interrupted):
        train("broken")
    monkeypatch.setattr(fit, "learning_rate", rate_of)
    resumed = train("broken", resume=True)
    assert torch.equal(weights(resumed, codecs), weights(whole, codecs))
    assert resumed.scores() == whole.scores()


def test_a_run_may_start_from_the_weights_of_another(train, codecs, make_recipe):
    first = train("first")
    still = make_recipe(start=str(first.directory / "weights.pt"), rate=1e-12)
    assert torch.allclose(weights(train("still", still), codecs), weights(first, codecs))


def test_a_finished_run_is_read_where_the_one_it_started_from_is_gone(train, codecs, make_recipe):
    first = train("first").directory / "weights.pt"
    second = train("second", make_recipe(start=str(first)))
    first.unlink()
    assert torch.isfinite(weights(second, codecs)).all()
    train("second", second.recipe, resume=True)


@pytest.mark.parametrize(
    "content", [None, b"no weights", {"encoder.weight": torch.ones(3)}, {"a": torch.ones(1)}]
)
def test_weights_of_something_else_are_no_start(train, root, make_recipe, content):
    path = root / "weights.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(RecipeError, match=r"^start: .*weights\.pt"):
        train("run", make_recipe(start=str(path)))
    assert not (root / "run").exists()


def test_a_run_goes_on_with_its_own_recipe_alone(train, make_recipe):
    train("run")
    with pytest.raises(RecipeError, match="add --resume"):
        train("run")
    with pytest.raises(RecipeError, match="another codec"):
        train("run", make_recipe(options={"gain": 2.0}), resume=True)


def test_an_unfinished_run_is_not_exported(root, codecs, make_recipe):
    run = CodecRun.create(root / "run", make_recipe(), resume=False)
    with pytest.raises(RecipeError, match="finish it with mmsr train"):
        make_codec_draft(run, codecs)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patch": 8}, "learns from 16 pixels or more"),
        ({"held": 5}, "leave none to learn"),
        ({"options": {"gian": 1.0}}, 'did you mean "gain"'),
        ({"options": {"gain": "much"}}, "codec blocks fails"),
    ],
)
def test_what_can_not_be_trained_is_refused_before_anything_is_written(
    train, root, make_recipe, changes, said
):
    with pytest.raises(Exception, match=said):
        train("run", make_recipe(**changes))
    assert not (root / "run").exists()


def test_photographs_held_back_are_not_learnt_from(root, make_recipe):
    learnt, held = find_photographs(make_recipe(), root)
    assert (len(learnt), len(held)) == (3, 2)
    assert not {one.path for one in learnt} & {one.path for one in held}


def test_a_photograph_smaller_than_a_patch_is_left_out(root, make_recipe):
    cv2.imwrite(str(root / "photos/tiny.png"), np.zeros((12, 300, 3), np.uint8))
    images = load_photographs(make_recipe(held=1), root, quiet)
    assert all(min(one.shape[:2]) >= 16 for one in images.learnt)
    assert len(images.learnt) + len(images.held) == 5


def test_rescaled_photographs_are_squeezed_into_a_patch(root, make_recipe):
    images = load_photographs(make_recipe(cut="rescale", patch=24), root, quiet)
    assert {one.shape for one in images.learnt} == {(24, 24, 3)}


def test_a_batch_depends_on_the_seed_and_the_step_alone(root, make_recipe):
    learnt = load_photographs(make_recipe(), root, quiet).learnt
    whole = dict(Patches(learnt, 2, 16, seed=4, first=0, last=5))
    late = dict(Patches(learnt, 2, 16, seed=4, first=3, last=5))
    assert list(late) == [3, 4]
    assert all(torch.equal(late[step], whole[step]) for step in late)
    assert not torch.equal(whole[0], whole[1])


def test_the_rate_is_held_and_then_falls_in_a_line_to_zero():
    settings = CodecFit(rate=1.0, hold=0.5, warmup=2)
    rates = [fit.learning_rate(step, 10, settings) for step in range(11)]
    assert rates == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0])


def test_a_finished_run_becomes_a_bundle_with_both_graphs_and_the_tables(train, codecs, root):
    run = train("run")
    bundle = export_codec(make_codec_draft(run, codecs), root / "bundle", lambda step: None)
    manifest = bundle.manifest
    assert (manifest.kind, manifest.channels, manifest.codec) == ("codec", 2, "blocks")
    assert bundle.graph(manifest.tables) == run.tables()
    assert len(manifest.qualities) == len(run.scores()["qualities"])
    assert manifest.made.data[0]["licence"] == "CC0"
