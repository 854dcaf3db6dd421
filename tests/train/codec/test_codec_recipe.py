import pytest

from mmsr_core.errors import RecipeError
from mmsr_core.train.codec.recipe import CodecFit, is_codec_run, parse_codec
from mmsr_core.train.recipe import parse

ASKED = {"kind": "codec", "name": "tiny", "data": [{"folder": "photos"}]}


def test_a_recipe_without_settings_has_the_paper_s():
    training = parse_codec(ASKED, "recipe").training
    assert (training.batch, training.patch, training.rate) == (16, 256, 2e-5)
    assert training.hold == 0.5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"codecs": {}}, 'did you mean "codec"'),
        ({"training": {"patches": 3}}, 'did you mean "patch"'),
        ({"training": {"patch": 250}}, "training.patch: .*multiple of 8"),
        ({"training": {"steps": 1, "epochs": 2}}, "in steps or in epochs"),
        ({"data": [{"folder": "photos", "store": "tiles"}]}, "leave out the store"),
        ({"held": 0}, "held: "),
    ],
)
def test_a_mistake_is_named(changes, said):
    with pytest.raises(RecipeError, match=said):
        parse_codec(ASKED | changes, "recipe")


def test_an_epoch_is_as_many_patches_as_there_are_photographs():
    assert CodecFit(epochs=200, batch=16).length(9272, 16) == 115_900


def test_an_upscaler_s_commands_say_that_a_codec_is_none():
    with pytest.raises(RecipeError, match="a codec's"):
        parse(ASKED, "recipe")


@pytest.mark.parametrize("text", ["", "[]", '{"kind": "upscaler"}'])
def test_another_directory_is_no_codec_s_run(tmp_path, text):
    assert not is_codec_run(tmp_path)
    (tmp_path / "recipe.json").write_text(text)
    assert not is_codec_run(tmp_path)
