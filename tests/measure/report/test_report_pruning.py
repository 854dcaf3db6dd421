from pathlib import Path

from mmsr_core.measure.report.files import Store
from mmsr_core.measure.report.pruning import pruning_section


def store(tiles, kept):
    size = 3 * 48**2 * 17
    return Store.model_validate(
        {
            "scale": 4,
            "tile": 48,
            "tiles": {"all": tiles, "kept": kept},
            "bytes": {"all": tiles * size, "kept": kept * size},
            "pruned": 1 - kept / tiles,
        }
    )


def test_stores_before_and_after_and_all_of_them():
    found = pruning_section({Path("a"): store(100_000, 58_100), Path("b"): store(1000, 1000)})
    assert found.finding == "101,000 tiles → 59,100, 11,868 MB → 6,944 MB (−41.5%)."
    assert found.body[1].splitlines() == [
        "| store | tile |   tiles |   kept | pruned |     MB | MB kept | change |",
        "| ----- | ---: | ------: | -----: | -----: | -----: | ------: | -----: |",
        "| a     |   48 | 100,000 | 58,100 |  41.9% | 11,750 |   6,827 | −41.9% |",
        "| b     |   48 |   1,000 |  1,000 |   0.0% |    118 |     118 |  +0.0% |",
        "| all   |      | 101,000 | 59,100 |  41.5% | 11,868 |   6,944 | −41.5% |",
    ]


def test_one_store_needs_no_sum():
    assert len(pruning_section({Path("a"): store(10, 5)}).body[1].splitlines()) == 3
