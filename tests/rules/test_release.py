"""What is released: one wheel and one sdist, which hold what they should and nothing else."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SHELVES = (".", "plugins", "exporters", "registry")
NAMES = {path.name for shelf in SHELVES for path in (ROOT / shelf).glob("mmsr_*")}
IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist", ".*")


def run(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The sdist, and the wheel that was built of nothing but the sdist."""
    work = tmp_path_factory.mktemp("release")
    shutil.copytree(ROOT, work / "source", ignore=IGNORED)
    run(sys.executable, "-m", "build", "--no-isolation", "-o", work / "dist", work / "source")
    (wheel,), (sdist,) = (work / "dist").glob("*.whl"), (work / "dist").glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def files(released):
    """The paths in the wheel."""
    return zipfile.ZipFile(released[0]).namelist()


@pytest.fixture(scope="module")
def installed(released, tmp_path_factory):
    """The folder of the programs of an environment that has the wheel, and what it depends on."""
    directory = tmp_path_factory.mktemp("installed")
    venv.create(directory, with_pip=False)
    paths = {"base": str(directory), "platbase": str(directory)}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    (packages / "running.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = (sys.executable, "-m", "pip", "--python", directory / "bin/python", "install", "-q")
    run(*pip, "--no-index", "--no-deps", "--ignore-installed", released[0])
    return directory / "bin"


def test_the_packages_of_the_wheel_are_those_of_the_shelves(files):
    tops = {path.split("/")[0] for path in files}
    assert tops == NAMES | {f"mmsr-{PROJECT['version']}.dist-info"}


def test_every_module_of_the_shelves_is_in_the_wheel(files):
    modules = {
        path.relative_to(ROOT / shelf).as_posix()
        for shelf in SHELVES
        for name in NAMES
        for path in (ROOT / shelf / name).rglob("*.py")
    }
    assert modules == {path for path in files if path.endswith(".py")}


def test_the_wheel_holds_the_shelf_of_models(files):
    shelf = ROOT / "registry/mmsr_registry/shelf"
    models = {
        f"mmsr_registry/shelf/{p.relative_to(shelf)}" for p in shelf.rglob("*") if p.is_file()
    }
    assert any(path.endswith("manifest.json") for path in models)
    assert models <= set(files)


def test_the_wheel_holds_what_a_module_reads_beside_itself(files):
    kinds = {".npz", ".html", ".css", ".js", ".mjs", ".svg", ".typed"}
    data = {
        path.relative_to(ROOT / shelf).as_posix()
        for shelf in SHELVES
        for name in NAMES
        for path in (ROOT / shelf / name).rglob("*")
        if path.suffix in kinds or path.name == "py.typed"
    }
    assert "mmsr_core/py.typed" in data
    assert data <= set(files)


def test_the_wheel_holds_no_test(files):
    assert not [path for path in files if re.search(r"(^|/)(tests?/|test_|conftest)", path)]


def test_the_sdist_holds_documents_recipes_and_tests(released):
    with tarfile.open(released[1]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert held >= {
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "docs/routing.md",
        "docs/images/plans.jpg",
        "recipes/compact-x4.toml",
        "tests/rules/test_release.py",
    }
    assert not [name for name in held if "__pycache__" in name]


def test_the_version_is_written_in_one_place():
    quoted = re.compile(rf"""["']{re.escape(PROJECT["version"])}["']""")
    sources = [path for shelf in SHELVES for path in (ROOT / shelf).glob("mmsr_*/**/*.py")]
    assert [path.name for path in sources if quoted.search(path.read_text())] == []


def test_the_description_is_one_that_an_index_shows(released):
    with zipfile.ZipFile(released[0]) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        facts = Parser().parsestr(wheel.read(name).decode())
    assert facts["Version"] == PROJECT["version"]
    assert facts["License-Expression"] == "Apache-2.0"
    assert facts["Description-Content-Type"] == "text/markdown"
    assert facts.get_payload().startswith("# mmsr")


def test_twine_finds_nothing_wrong(released):
    pytest.importorskip("twine", reason="twine is not installed")
    run(sys.executable, "-m", "twine", "check", "--strict", *released)


def test_every_extra_is_named_in_a_document():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    named = {
        extra for found in re.findall(r"\[([a-z,]+)\]['` ]", text) for extra in found.split(",")
    }
    assert set(PROJECT["optional-dependencies"]) <= named


def test_the_installed_command_tells_its_version_and_models(installed):
    assert run(installed / "mmsr", "--version") == f"mmsr {PROJECT['version']}\n"
    assert "compact-x4" in run(installed / "mmsr", "models", "list")


def test_the_installed_command_upscales(installed, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), pixels)
    run(installed / "mmsr", "upscale", tmp_path / "photo.png", "-o", tmp_path / "large.png")
    assert cv2.imread(str(tmp_path / "large.png")).shape == (160, 192, 3)
