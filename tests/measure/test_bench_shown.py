"""A benchmark as tables and as a picture."""

from dataclasses import replace
from itertools import combinations

import pytest

from mmsr_core.measure.bench.outcome import Outcome, Routing, Standing
from mmsr_core.measure.bench.tables import WIDTH, lines
from mmsr_core.measure.evaluation import Photograph

MACHINE = {
    "cpu": "a processor",
    "cores": 2,
    "versions": {"onnxruntime": "1.2.3"},
    "providers": ["CPUExecutionProvider"],
}


def contender(name, kind, time, lost):
    return Standing(
        name=name,
        kind=kind,
        psnr_y=40 - lost,
        lost=lost,
        worst=2 * lost,
        seconds=10 * time,
        time=time,
        slowest=time,
        upscaling=time,
        megapixels_in=123.4,
        megapixels_out=1974.4,
        peak=300 * 2**20,
        first=1.5,
        stages={"decode": 0.1, "experts": 0.7, "encode": 0.2},
    )


CROWD = [contender(f"opencv {name}", "peer", 0.1 + 0.01 * n, 2.2) for n, name in enumerate("abcd")]


@pytest.fixture
def found():
    standings = [
        contender("bicubic", "expert", 0.02, 2.3),
        contender("a-very-long-name-of-an-expert-indeed", "expert", 0.3, 0.4),
        contender("deep", "expert", 1.0, 0.0),
        contender("routed@0", "routed", 0.31, 0.1),
        contender("routed", "routed", 0.6, 0.004),
        contender("routed@1", "routed", 1.01, 0.0),
        contender("plain onnxruntime", "peer", 1.02, 0.0),
        *CROWD,
    ]
    classes = {f"CLASS_NUMBER_{n}": 0.125 for n in range(8)} | {"NEVER": 0.0}
    return Outcome(
        model="tiny-x2@1.0.0",
        device="cpu",
        machine=MACHINE,
        load=(0.1, 2.0),
        repeats=3,
        spread=0.04,
        deepest="deep",
        megapixels=(1.0, 4.0),
        standings=tuple(standings),
        routings=(
            Routing("routed@0", 0.0, classes, 0.2, 0.3, 0.2, 0.875),
            Routing("routed@1", 1.0, {"CLASS_NUMBER_0": 1.0}, 0.0, 1.0, 1.0, None),
        ),
        frontier=((0.05, 1.5), (0.2, 0.1), (0.5, 0.0), (0.9, -0.01)),
        absent=("pillow (not installed)",),
        per_image=(Photograph("a.png", 2000, 2000, {}),),
    )


def test_no_line_is_wider_than_the_terminal(found):
    assert max(map(len, lines(found))) <= WIDTH


def test_a_long_name_of_a_processor_is_wrapped(found):
    machine = found.machine | {"cpu": "Processor " * 10}
    assert max(map(len, lines(replace(found, machine=machine)))) <= WIDTH


def test_every_contender_has_a_line_of_speed_and_one_of_stages(found):
    firsts = [line[:18].rstrip() for line in lines(found)]
    assert firsts.count("plain onnxruntime") == 2
    assert firsts.count("a-very-long-name-…") == 2


def test_an_absent_peer_is_named(found):
    assert "peers not run: pillow (not installed)" in list(lines(found))


def test_the_machine_is_named(found):
    text = "\n".join(lines(found))
    assert "a processor, 2 cores; onnxruntime 1.2.3 with CPUExecutionProvider" in text
    assert "Rounds lie 4% apart at the median. Load of the machine: 0.1 before, 2.0 after." in text


def test_the_share_of_the_oracles_saving_is_in_the_table(found):
    (line,) = [line for line in lines(found) if "88%" in line]
    assert line.split()[:6] == ["routed@0", "0.00", "20%", "0.30", "0.20", "88%"]


def test_nothing_to_save_is_a_dash(found):
    text = [line.split() for line in lines(found) if line.startswith("routed@1")]
    assert text[-1] == ["routed@1", "1.00", "0%", "1.00", "1.00", "–", "CLASS_NUMBER_0", "100%"]


def test_a_class_that_no_tile_has_is_left_out(found):
    assert not any("NEVER" in line for line in lines(found))


def test_the_wording_says_what_is_computed(found):
    assert "computed from the model's costs, not run" in " ".join(lines(found))


def test_unknown_memory_is_a_dash(found):
    unknown = tuple(replace(one, peak=None) for one in found.standings)
    (line, _) = [x for x in lines(replace(found, standings=unknown)) if x.startswith("deep")]
    assert line.split()[-2] == "–"


def test_every_mark_of_the_picture_has_its_name(found):
    pytest.importorskip("matplotlib")
    from mmsr_core.measure.bench.plot import draw

    texts = {text.get_text() for text in draw(found).axes[0].texts}
    assert texts >= {"deep", "plain onnxruntime", "0", "default", "1"}
    assert len(texts) == len(found.standings)


def test_no_two_names_of_the_picture_overlap(found):
    pytest.importorskip("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    from mmsr_core.measure.bench.plot import draw

    figure = draw(found)
    FigureCanvasAgg(figure).draw()
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]
    assert not any(first.overlaps(second) for first, second in combinations(boxes, 2))
    page = figure.axes[0].get_window_extent()
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 for box in boxes)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_picture_is_written_in_the_format_of_the_suffix(found, tmp_path, suffix):
    pytest.importorskip("matplotlib")
    from mmsr_core.measure.bench.plot import plot

    plot(found, tmp_path / f"bench.{suffix}")
    magic = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix]
    assert (tmp_path / f"bench.{suffix}").read_bytes().startswith(magic)
    assert [path.name for path in tmp_path.iterdir()] == [f"bench.{suffix}"]
