import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from codecs_made import photograph, write_codec

from mmsr_core.cli import main
from mmsr_core.runtime.image import Image, Metadata, read, write

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home root with the codec `tiny` in it."""
    folder = tmp_path_factory.mktemp("home")
    write_codec(folder / "tiny/1.0.0")
    return folder


@pytest.fixture
def mmsr(home, monkeypatch):
    """mmsr(*arguments): run the command line in this process."""
    monkeypatch.setenv("MMSR_HOME", str(home))

    def run(*arguments):
        arguments = [str(one) for one in arguments]
        return CliRunner().invoke(main, arguments, catch_exceptions=False)

    return run


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    write(path, Image(photograph(60, 90)))
    return path


def test_a_photograph_goes_there_and_back(mmsr, photo, tmp_path):
    small, back = tmp_path / "small.mmc", tmp_path / "back.png"
    result = mmsr("compress", photo, "-o", small, "--model", "tiny", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert small.stat().st_size < photo.stat().st_size / 4
    assert mmsr("decompress", small, "-o", back, "--device", "cpu").exit_code == 0
    assert read(back).rgb.shape == (60, 90, 3)


def test_a_folder_goes_there_and_back(mmsr, tmp_path):
    for name in ("a.png", "sub/b.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / "in" / name, Image(photograph(20, 30)))
    result = mmsr("compress", tmp_path / "in", "-o", tmp_path / "small", "--model", "tiny")
    assert result.exit_code == 0, result.output
    result = mmsr("decompress", tmp_path / "small", "-o", tmp_path / "out", "--format", "webp")
    assert result.exit_code == 0, result.output
    found = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.*"))
    assert found == [Path("a.webp"), Path("sub/b.webp")]


def test_the_json_tells_of_each_image(mmsr, photo, tmp_path):
    table = tmp_path / "facts.json"
    out = tmp_path / "small.mmc"
    mmsr("compress", photo, "-o", out, "--model", "tiny", "--bpp", "1", "--json", table)
    row = json.loads(table.read_text())["images"][0]
    assert row["bytes"] == out.stat().st_size
    assert row["bpp"] == pytest.approx(out.stat().st_size * 8 / (60 * 90))


def test_a_file_that_cant_be_read_is_named_and_stops_no_other(mmsr, photo, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    result = mmsr("compress", bad, photo, "-o", tmp_path / "out", "--model", "tiny")
    assert result.exit_code == 3
    assert "bad.png: not an image" in result.stderr
    assert (tmp_path / "out/photo.mmc").is_file()


def test_an_output_that_exists_is_kept_unless_told_otherwise(mmsr, photo, tmp_path):
    out = tmp_path / "out.mmc"
    out.write_bytes(b"mine")
    result = mmsr("compress", photo, "-o", out, "--model", "tiny")
    assert (result.exit_code, out.read_bytes()) == (1, b"mine")
    assert mmsr("compress", photo, "-o", out, "--model", "tiny", "--overwrite").exit_code == 0
    assert out.read_bytes()[1:4] == b"MMC"


def test_quality_and_rate_are_not_taken_together(mmsr, photo, tmp_path):
    arguments = ("compress", photo, "-o", tmp_path / "o.mmc", "--quality", "1", "--bpp", "1")
    assert mmsr(*arguments, "--model", "tiny").exit_code == 2


def test_a_file_whose_codec_is_not_here_names_it(mmsr, photo, tmp_path, monkeypatch):
    mmsr("compress", photo, "-o", tmp_path / "small.mmc", "--model", "tiny")
    monkeypatch.setenv("MMSR_HOME", str(tmp_path / "elsewhere"))
    result = mmsr("decompress", tmp_path / "small.mmc", "-o", tmp_path / "out.png")
    assert result.exit_code == 1
    assert "needs the codec tiny@1.0.0" in result.stderr
    assert not (tmp_path / "out.png").exists()


def test_a_codec_outside_the_registry_is_named_by_its_path(
    mmsr, home, photo, tmp_path, monkeypatch
):
    mmsr("compress", photo, "-o", tmp_path / "small.mmc", "--model", "tiny")
    monkeypatch.setenv("MMSR_HOME", str(tmp_path / "elsewhere"))
    model = home / "tiny/1.0.0"
    result = mmsr("decompress", tmp_path / "small.mmc", "-o", tmp_path / "o.png", "--model", model)
    assert result.exit_code == 0, result.output


def test_a_model_that_upscales_is_no_codec(mmsr, photo, tmp_path):
    result = mmsr("compress", photo, "-o", tmp_path / "o.mmc", "--model", "compact-x2")
    assert result.exit_code == 1
    assert "no codec" in result.stderr


def test_compressed_files_are_upscaled(mmsr, upscaler, photo, tmp_path):
    small, large = tmp_path / "small.mmc", tmp_path / "large.png"
    metadata = Metadata(xmp=b"<x:xmpmeta/>")
    write(photo, Image(photograph(60, 90), metadata=metadata))
    mmsr("compress", photo, "-o", small, "--model", "tiny")
    result = mmsr("upscale", small, "-o", large, "--model", upscaler, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert read(large).rgb.shape == (120, 180, 3)
    assert read(large).metadata.xmp == metadata.xmp


SCRIPT = """
import sys
from pathlib import Path
sys.path.append({folder!r})
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "onnx", "sklearn", "scipy"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from mmsr_core.cli.codecs import installed_codecs
from mmsr_core.runtime.codec.decompress import decompress_file
decompress_file(installed_codecs("cpu", {threads}), Path({source!r}), Path({target!r}))
"""


def test_another_process_without_torch_decodes_the_same_bytes_with_any_threads(
    mmsr, home, photo, tmp_path
):
    small = tmp_path / "small.mmc"
    mmsr("compress", photo, "-o", small, "--model", "tiny")
    answers = []
    for threads in (1, 2, 3):
        target = tmp_path / f"{threads}.png"
        script = SCRIPT.format(
            folder=str(ROOT), threads=threads, source=str(small), target=str(target)
        )
        roots = os.pathsep.join(str(ROOT / part) for part in (".", "registry"))
        environment = os.environ | {"PYTHONPATH": roots, "MMSR_HOME": str(home)}
        subprocess.run([sys.executable, "-c", script], env=environment, check=True)
        answers.append(target.read_bytes())
    assert answers[0] == answers[1] == answers[2]
    assert np.asarray(read(tmp_path / "1.png").rgb).shape == (60, 90, 3)


def test_compressed_files_in_a_folder_are_upscaled_too(mmsr, upscaler, photo, tmp_path):
    mmsr("compress", photo, "-o", tmp_path / "small/a.mmc", "--model", "tiny")
    arguments = ("upscale", tmp_path / "small", "-o", tmp_path / "large", "--device", "cpu")
    assert mmsr(*arguments, "--model", upscaler).exit_code == 0
    assert read(tmp_path / "large/a.png").rgb.shape == (120, 180, 3)


def test_who_has_no_codec_learns_where_one_comes_from(mmsr, photo, tmp_path):
    result = mmsr("compress", photo, "-o", tmp_path / "small.mmc", "--model", "absent")
    assert result.exit_code == 1
    assert 'no model named "absent"' in result.stderr
    assert "docs/codec.md shows how to train one" in result.stderr
    assert not (tmp_path / "small.mmc").exists()
