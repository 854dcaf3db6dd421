import pytest

from mmsr_core.errors import PluginError, RecipeError
from mmsr_core.train.recipe import parse, read_recipe

TOML = """
name = "tiny-x2"
scale = 2
data = [{ folder = "photos" }]
experts = [{ name = "only", backbone = "bicubic" }]
routes = { ALL = "only" }
"""


def dig(tables, path):
    for key in path:
        tables = tables[key]
    return tables


@pytest.mark.parametrize(
    ("path", "wrong", "right"),
    [
        ((), "trainin", "training"),
        (("data", 0), "foldr", "folder"),
        (("split",), "tests", "test"),
        (("tiles",), "cel", "cell"),
        (("training",), "stepz", "steps"),
        (("experts", 1), "dept", "depth"),
        (("experts", 1, "training"), "ratee", "rate"),
        (("router",), "epsilom", "epsilon"),
        (("router", "classifier"), "optoins", "options"),
        (("router", "extractor"), "nam", "name"),
        (("routes", "SIMPLE"), "fusser", "fuser"),
    ],
)
def test_a_misspelt_key_is_named_with_its_table_and_the_nearest_key(asked, path, wrong, right):
    asked["router"]["extractor"] = {"name": "texture"}
    asked["experts"][1]["training"] = {}
    dig(asked, path)[wrong] = 1
    with pytest.raises(RecipeError) as caught:
        parse(asked, "tiny.toml")
    table = ".".join(map(str, path)) or "recipe"
    assert str(caught.value).startswith(f'tiny.toml: no key named "{wrong}"; [{table}] takes: ')
    assert str(caught.value).endswith(f'(did you mean "{right}"?)')


def test_a_required_key_that_is_misspelt_is_not_just_missing(asked):
    asked["scael"] = asked.pop("scale")
    with pytest.raises(RecipeError, match=r'no key named "scael".*did you mean "scale"'):
        parse(asked, "r")


def test_an_experts_own_training_is_refused_where_it_stands(asked):
    asked["experts"][2]["training"] = {"rate": -1}
    with pytest.raises(RecipeError, match=r"^r: experts\.2\.training\.rate: .*greater than 0"):
        parse(asked, "r")


def test_an_experts_own_training_overrides_the_recipes(asked):
    asked["experts"][2]["training"] = {"steps": 99}
    recipe = parse(asked, "r")
    assert [recipe.fit_of(expert).steps for expert in recipe.experts] == [6, 6, 99]
    assert recipe.fit_of(recipe.experts[2]).patch == 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": 1}, "scale: "),
        ({"version": "1"}, "version: "),
        ({"name": "No Name"}, "name: "),
        ({"data": []}, "data: "),
        ({"split": {"experts": 0.8}}, "split: the three shares must sum to 1"),
        ({"split": {"experts": 0.8, "router": 0.2, "test": 0}}, "split: every split needs a share"),
        ({"tiles": {"cell": 4096}}, "tiles.cell: "),
        ({"tiles": {"cell": 16, "seam": 9}}, "tiles: seam is wider than half a cell"),
        ({"training": {"precision": "bf16"}}, "training.precision: "),
        ({"training": {"rate": float("nan")}}, "training.rate: "),
        ({"routes": {}}, "routes: "),
        ({"routes": {"simple": "small"}}, "routes.simple"),
        ({"routes": {"ALL": "smal"}}, 'routes.ALL: no expert named "smal"'),
        ({"routes": {"ALL": {"experts": ["floor", "small"]}}}, "routes.ALL: two or more experts"),
        ({"routes": {"ALL": {"experts": ["small"], "fuser": "mean"}}}, "routes.ALL: two or more"),
        ({"routes": {"ALL": {"experts": ["small"], "options": {"a": 1}}}}, "routes.ALL: options"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_where_it_stands(asked, changes, message):
    with pytest.raises(RecipeError) as caught:
        parse(asked | changes, "tiny.toml")
    assert str(caught.value).startswith(f"tiny.toml: {message}")
    assert "\n" not in str(caught.value)


def test_an_unknown_expert_in_a_route_is_refused_with_the_nearest(asked):
    asked["routes"]["COMPLEX"] = "larg"
    with pytest.raises(RecipeError, match=r'routes\.COMPLEX: .*did you mean "large"'):
        parse(asked, "r")


def test_two_experts_of_one_name_are_refused(asked):
    asked["experts"][2]["name"] = "small"
    with pytest.raises(RecipeError, match="two experts share one name"):
        parse(asked, "r")


def test_one_fuser_with_two_sets_of_options_is_refused(asked):
    both = {"experts": ["floor", "small"], "fuser": "edge"}
    asked["routes"]["MODERATE"] = both | {"options": {"threshold": 0.5}}
    with pytest.raises(RecipeError, match=r"routes\.MODERATE: edge has other options elsewhere"):
        parse(asked, "r")


def test_a_sound_recipe_passes_every_check(recipe, catalog):
    recipe.check(catalog)


def test_a_recipe_survives_its_own_json(recipe):
    assert parse(recipe.model_dump(mode="json"), "r") == recipe


def test_an_unknown_backbone_is_refused_with_the_nearest(asked, catalog):
    asked["experts"][1]["backbone"] = "compakt"
    message = r'^expert small: no backbone named "compakt"; .*did you mean "compact"'
    with pytest.raises(PluginError, match=message):
        parse(asked, "r").check(catalog)


def test_an_option_that_build_does_not_take_is_refused_with_the_nearest(asked, catalog):
    asked["experts"][1]["options"] = {"chanels": 8}
    message = r'^expert small: no option of compact named "chanels"; .*did you mean "channels"'
    with pytest.raises(PluginError, match=message):
        parse(asked, "r").check(catalog)


@pytest.mark.parametrize("option", ["depth", "scale"])
def test_what_the_recipe_gives_to_build_is_no_option(asked, catalog, option):
    asked["experts"][1]["options"] = {option: 2}
    with pytest.raises(PluginError, match=f'no option of compact named "{option}"'):
        parse(asked, "r").check(catalog)


def test_a_depth_out_of_range_is_refused_with_the_range(asked, catalog):
    asked["experts"][1]["depth"] = 65
    with pytest.raises(
        RecipeError, match=r"^expert small: compact has no depth 65; it has 0 to 64"
    ):
        parse(asked, "r").check(catalog)


def test_a_scale_that_a_backbone_has_not_is_refused_with_those_it_has(asked, catalog):
    asked["scale"] = 8
    with pytest.raises(RecipeError, match=r"^expert floor: bicubic has no scale 8; it has 2, 3, 4"):
        parse(asked, "r").check(catalog)


@pytest.mark.parametrize(
    ("part", "kind", "name"),
    [("extractor", "extractor", "txture"), ("classifier", "classifier", "forrest")],
)
def test_an_unknown_router_component_is_refused_where_it_stands(asked, catalog, part, kind, name):
    asked["router"][part] = {"name": name}
    with pytest.raises(PluginError, match=f"^router.{part}: no {kind} named .*did you mean"):
        parse(asked, "r").check(catalog)


def test_an_unknown_option_of_the_classifier_is_refused_where_it_stands(asked, catalog):
    asked["router"]["classifier"] = {"name": "forest", "options": {"tree": 5}}
    with pytest.raises(PluginError, match=r'^router\.classifier: .*did you mean "trees"'):
        parse(asked, "r").check(catalog)


def test_an_unknown_fuser_is_refused_where_it_stands(asked, catalog):
    asked["routes"]["SIMPLE"]["fuser"] = "edges"
    with pytest.raises(PluginError, match=r'^routes\.SIMPLE: no fuser.*did you mean "edge"'):
        parse(asked, "r").check(catalog)


def test_a_recipe_is_read_from_toml(tmp_path):
    (tmp_path / "r.toml").write_text(TOML)
    assert read_recipe(tmp_path / "r.toml").routes["ALL"].experts == ("only",)


def test_a_missing_recipe_is_one_line(tmp_path):
    with pytest.raises(RecipeError, match=r"r\.toml: cannot read the recipe \(No such file"):
        read_recipe(tmp_path / "r.toml")


def test_a_folder_in_place_of_a_recipe_is_one_line(tmp_path):
    with pytest.raises(RecipeError, match="cannot read the recipe"):
        read_recipe(tmp_path)


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"{}"])
def test_what_is_not_toml_is_refused_with_one_line(tmp_path, content):
    (tmp_path / "r.toml").write_bytes(content)
    with pytest.raises(RecipeError, match=r"r\.toml: not TOML") as caught:
        read_recipe(tmp_path / "r.toml")
    assert "\n" not in str(caught.value)


def test_a_bottomless_recipe_is_refused_with_one_line(tmp_path):
    (tmp_path / "r.toml").write_text(f"name = {'[' * 50_000}")
    with pytest.raises(RecipeError, match="nested too deeply"):
        read_recipe(tmp_path / "r.toml")
