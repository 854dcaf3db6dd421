"""The architecture's import table, checked on the source."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHELVES = ("mmsr_core", "plugins", "exporters", "registry")
SOURCES = sorted(path for shelf in SHELVES for path in (ROOT / shelf).rglob("*.py"))
PLUGINS = tuple(sorted(path.name for path in (ROOT / "plugins").glob("mmsr_*")))

HEAVY = ("torch", "lightning_fabric", "sklearn", "scipy", "onnx", "skl2onnx", "onnxruntime")


@dataclass(frozen=True)
class Import:
    """`module` is dotted and includes the imported name: `from a.b import c` gives a.b.c."""

    module: str
    line: int
    at_top: bool
    """Runs when the module is imported, not only when a function is called."""

    def of(self, names: tuple[str, ...]) -> bool:
        return any(f"{self.module}.".startswith(f"{name}.") for name in names)


@dataclass(frozen=True)
class Rule:
    """What the files of a part may import, besides the standard library."""

    part: str
    files: tuple[str, ...]
    only: tuple[str, ...] | None = None
    never: tuple[str, ...] = ()
    at_top_only: tuple[str, ...] | None = None
    at_top_never: tuple[str, ...] = ()

    def broken_by(self, found: Import) -> bool:
        if found.of(self.never) or (found.at_top and found.of(self.at_top_never)):
            return True
        if found.module.split(".")[0] in sys.stdlib_module_names:
            return False
        allowed = [self.only, self.at_top_only if found.at_top else None]
        return any(names is not None and not found.of(names) for names in allowed)


RULES = [
    Rule(
        "tiles, plan and bundle",
        tuple(
            f"mmsr_core/runtime/{name}.py"
            for name in ("tiles", "plan", "partition", "bundle", "manifest", "graphcheck", "wire")
        ),
        only=(
            "numpy",
            "pydantic",
            "mmsr_core.errors",
            "mmsr_core.runtime.tiles",
            "mmsr_core.runtime.partition",
            "mmsr_core.runtime.bundle",
            "mmsr_core.runtime.codec.manifest",
            "mmsr_core.runtime.manifest",
            "mmsr_core.runtime.graphcheck",
            "mmsr_core.runtime.wire",
        ),
    ),
    Rule(
        "runtime",
        ("mmsr_core/runtime/**/*.py",),
        only=(
            "numpy",
            "cv2",
            "pyvips",
            "pi_heif",
            "pillow_heif",
            "onnxruntime",
            "pydantic",
            "mmsr_core.errors",
            "mmsr_core.runtime",
        ),
    ),
    Rule(
        "plugin",
        ("mmsr_core/plugin/*.py",),
        never=("mmsr_core.runtime.engine", "mmsr_core.cli", *PLUGINS),
        at_top_never=HEAVY,
    ),
    Rule(
        "components, hookspecs and catalog",
        tuple(f"mmsr_core/plugin/{name}.py" for name in ("components", "hookspecs", "catalog")),
        only=("pluggy", "mmsr_core.errors", "mmsr_core.plugin"),
    ),
    Rule(
        "measure",
        ("mmsr_core/measure/**/*.py",),
        never=("mmsr_core.train", "mmsr_core.cli", *PLUGINS),
        at_top_never=("torch", "lightning_fabric"),
    ),
    Rule(
        "train",
        ("mmsr_core/train/**/*.py",),
        never=(
            "onnx",
            "skl2onnx",
            "onnxruntime",
            "mmsr_onnx",
            "mmsr_core.runtime.engine",
            "mmsr_core.cli",
            *PLUGINS,
        ),
    ),
    Rule("exporters", ("exporters/**/*.py",), never=("mmsr_core.train", "mmsr_core.cli", *PLUGINS)),
    Rule(
        "registry",
        ("registry/**/*.py",),
        only=("pydantic", "mmsr_core.errors", "mmsr_core.runtime.bundle", "mmsr_registry"),
    ),
    Rule("plugins", ("plugins/**/*.py",), never=("mmsr_core.cli", "mmsr_core.train")),
    Rule(
        "the Python API",
        ("mmsr_core/api/*.py",),
        never=("mmsr_core.train", "mmsr_core.cli", *PLUGINS),
        at_top_never=(*HEAVY, "PIL"),
    ),
    Rule(
        "video",
        ("mmsr_core/video/*.py",),
        only=("numpy", "cv2", "av", "mmsr_core.errors", "mmsr_core.runtime", "mmsr_core.video"),
    ),
    Rule(
        "video, asked what a video is",
        ("mmsr_core/video/__init__.py",),
        at_top_only=("mmsr_core.errors",),
    ),
    Rule(
        "serve",
        ("mmsr_core/serve/*.py",),
        only=(
            "fastapi",
            "numpy",
            "prometheus_client",
            "pydantic",
            "starlette",
            "uvicorn",
            "mmsr_core.__version__",
            "mmsr_core.api",
            "mmsr_core.errors",
            "mmsr_core.runtime",
            "mmsr_core.serve",
            "mmsr_registry",
        ),
    ),
    Rule(
        "cluster",
        ("mmsr_core/cluster/*.py",),
        only=(
            "fsspec",
            "ray",
            "mmsr_core.__version__",
            "mmsr_core.cluster",
            "mmsr_core.errors",
            "mmsr_core.runtime",
        ),
    ),
    Rule("cli", ("mmsr_core/cli/*.py",), at_top_never=(*HEAVY, "numpy", "cv2", "pydantic")),
    Rule("the package", ("mmsr_core/__init__.py",), at_top_never=(*HEAVY, "numpy", "pydantic")),
    *(
        Rule(
            f"{name}, declaring",
            (f"plugins/{name}/__init__.py",),
            never=tuple(other for other in PLUGINS if other != name),
            at_top_only=("mmsr_core.errors", "mmsr_core.plugin"),
        )
        for name in PLUGINS
    ),
]


def imports(source: str, package: str = "") -> Iterator[Import]:
    """Every import of a module but those for type checkers; `package` resolves relative ones."""
    stack: list[tuple[ast.AST, bool]] = [(ast.parse(source), True)]
    while stack:
        node, at_top = stack.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, at_top)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: 1 - node.level or None] if node.level else []
            base = ".".join([*parents, *filter(None, [node.module])])
            for alias in node.names:
                yield Import(f"{base}.{alias.name}", node.lineno, at_top)
        children: list[ast.AST] = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            children = list(node.orelse)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        stack += [(child, at_top and not inside) for child in children]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts if parts[0] == "mmsr_core" else parts[1:])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.part)
def test_a_part_imports_only_what_its_row_of_the_table_allows(rule):
    paths = [path for pattern in rule.files for path in sorted(ROOT.glob(pattern))]
    broken = [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.module}"
        for path in paths
        for found in imports(path.read_text(), name_of(path).rpartition(".")[0])
        if rule.broken_by(found)
    ]
    assert paths, "the row matches no file: the tree has changed, the table has not"
    assert broken == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import a.b", [("a.b", True)]),
        ("from a.b import c, d", [("a.b.c", True), ("a.b.d", True)]),
        ("def f():\n    import a", [("a", False)]),
        ("class C:\n    import a", [("a", True)]),
        ("try:\n    import a\nexcept ImportError:\n    pass", [("a", True)]),
        ("if TYPE_CHECKING:\n    import a", []),
        ("if typing.TYPE_CHECKING:\n    import a\nelse:\n    import b", [("b", True)]),
        ("from . import x", [("here.sub.x", True)]),
        ("from ..up import x", [("here.up.x", True)]),
    ],
)
def test_the_walk_sees_every_import(source, found):
    assert [(one.module, one.at_top) for one in imports(source, "here.sub")] == found


def test_a_name_that_only_begins_alike_is_another_module():
    assert not Import("torchvision", 1, True).of(("torch",))


@pytest.mark.parametrize("name", ["utils", "helpers", "base"])
def test_no_module_is_named_for_nothing(name):
    assert [path for path in SOURCES if path.stem == name] == []


def test_only_the_command_line_prints():
    printing = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        if "cli" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
    ]
    assert printing == []


def test_no_file_is_longer_than_300_lines():
    sources = [*SOURCES, *(ROOT / "tests").rglob("*.py")]
    long = {path.name: len(path.read_text().splitlines()) for path in sources}
    assert {name: lines for name, lines in long.items() if lines > 300} == {}
