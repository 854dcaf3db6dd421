import cv2
import numpy as np
import pytest

from mmsr_core.measure.tilesheet import GAP, SHOWN, Panel, Sheet, draw, mosaic


def test_a_mosaic_lays_tiles_row_by_row_on_white():
    tiles = np.stack([np.full((200, 200, 3), 10 * index, np.uint8) for index in range(5)])
    sheet = mosaic(tiles, 3)
    step = SHOWN + GAP
    assert sheet.shape == (2 * step - GAP, 3 * step - GAP, 3)
    assert sheet[0, ::step].tolist() == [[0] * 3, [10] * 3, [20] * 3]
    assert sheet[step, ::step].tolist() == [[30] * 3, [40] * 3, [255] * 3]


@pytest.mark.parametrize(
    ("scores", "threshold"), [([0, 0, 0, 0], 0.0), ([0, 0.2, 0.4, 5], 0.3), ([1, 1, 1, 1], None)]
)
def test_the_picture_is_drawn_whatever_the_scores(tmp_path, scores, threshold):
    panels = [Panel("ETVAT", np.array(scores, float), threshold)]
    kept = np.array([False, False, True, True])
    sheets = [Sheet("pruned", np.zeros((2, 32, 32, 3), np.uint8))]
    draw(tmp_path / "tiles.png", "four tiles", panels, kept, sheets)
    assert [path.name for path in tmp_path.iterdir()] == ["tiles.png"]
    assert cv2.imread(str(tmp_path / "tiles.png")).shape[2] == 3


def test_the_sheets_hold_the_tiles(tmp_path):
    red = np.full((4, 32, 32, 3), (255, 0, 0), np.uint8)
    draw(
        tmp_path / "tiles.png",
        "red tiles",
        [Panel("ETVAT", np.arange(4.0))],
        np.ones(4, bool),
        [Sheet("kept", red)],
    )
    pixels = cv2.imread(str(tmp_path / "tiles.png"))
    assert (pixels == (0, 0, 255)).all(axis=2).sum() > 1000
