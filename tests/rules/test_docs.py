"""What the documents say is what the code has."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = {name: (ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md")}
HOOKS = [
    f"{node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}"
    for node in ast.parse((ROOT / "mmsr_core/plugin/hookspecs.py").read_text()).body
    if isinstance(node, ast.FunctionDef) and "hookspec" in map(ast.unparse, node.decorator_list)
]
BLOCKS = re.findall(r"^```python\n(.*?)^```", DOCUMENTS["CONTRIBUTING.md"], re.M | re.S)
QUOTED = re.findall(
    r"^<!-- file: (\S+) -->\n```\w+\n(.*?)^```", DOCUMENTS["CONTRIBUTING.md"], re.M | re.S
)


@pytest.mark.parametrize("signature", HOOKS)
def test_every_hook_has_a_heading_with_its_exact_signature(signature):
    heading = re.compile(rf"^### `?{re.escape(signature)}`?$", re.M)
    assert any(heading.search(text) for text in DOCUMENTS.values())


def test_the_hooks_are_found():
    assert "register_backbones() -> Iterable[Backbone]" in HOOKS


@pytest.mark.parametrize("block", BLOCKS)
def test_every_python_block_of_contributing_compiles(block):
    compile(block, "CONTRIBUTING.md", "exec")


@pytest.mark.parametrize(("path", "text"), QUOTED, ids=[path for path, _ in QUOTED])
def test_a_quoted_file_is_quoted_as_it_is(path, text):
    assert text == (ROOT / path).read_text()


def test_contributing_quotes_the_whole_third_party_plugin():
    names = {Path(path).name for path, _ in QUOTED}
    assert names == {path.name for path in (ROOT / "tests/thirdparty").glob("*.*")}
