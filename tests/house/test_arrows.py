"""Who may import whom: the table of ARCHITECTURE.md, held against every import in the house.

A room sees only the rooms in its row. Inside a room, modules do not import each other in a circle. An import under
`if TYPE_CHECKING` is an arrow, for the reader has to follow it, but makes no circle. Functions are read too.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]
SDK = "sdk/python"

ARROWS: dict[str, set[str]] = {
    "contract": set(),
    "grammar": set(),
    "native": set(),
    "policies": set(),
    "engine": {"contract", "grammar", "native"},
    "evidence": {"contract", "native"},
    "server": {"contract", "native", "engine", "evidence"},
    "simulation": {"contract", "grammar", "engine", "evidence"},
    SDK: {"contract", "engine", "evidence"},
    "proxy": {"contract", SDK},
    "cli": {"contract", "grammar", "native", "engine", "evidence", "server", "simulation", SDK, "proxy", "policies"},
}
# These the SDK imports only where an engine is embedded: inside a function, or for the type checker.
WHEN_EMBEDDING = {(SDK, "engine"), (SDK, "evidence")}
NOT_ROOMS = {"benchmarks", "tests", "docs", "examples", "build", "dist", "out", "var"}
NO_NAMES = {"util", "utils", "common", "helper", "helpers", "core", "manager", "managers"}


@dataclass(frozen=True)
class Import:
    """One `import` or `cimport`, resolved: `target` is absolute, and a module where the house has one of that name."""

    file: Path
    line: int
    module: str
    target: str
    when: str  # "loading", "called", or "checking": only for the type checker

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.module} imports {self.target}"


def test_every_import_is_in_the_table() -> None:
    assert not [str(found) for found in imports(HOUSE) if not allowed(found)]


def test_no_modules_of_a_room_import_each_other_in_a_circle() -> None:
    assert circle(HOUSE) is None


def test_every_room_has_a_row_in_the_table() -> None:
    folders = {path.relative_to(HOUSE).parts[0] for path in HOUSE.glob("*/__init__.py")}
    folders |= {path.relative_to(HOUSE).parts[0] for path in HOUSE.glob("*/*.pyx")}
    assert folders - NOT_ROOMS - ARROWS.keys() == set()


def test_no_file_is_named_after_the_want_of_a_name() -> None:
    assert nameless(HOUSE) == []


def test_importing_thoth_stays_light() -> None:
    heavy = ["lark", "rich", "cyclopts", "uvloop", "re2", "thoth.engine", "thoth.grammar", "thoth.cli"]
    program = f"import sys, thoth; print(*[name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


# The reader itself, on houses with one fault each.


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("contract/a.py", "import thoth.engine"),
        ("contract/a.py", "from thoth import engine"),
        ("contract/a.py", "from thoth import instrument"),
        ("contract/a.py", "import thoth"),
        ("contract/a.py", "from ..engine import decide"),
        ("contract/inner/a.py", "from ...engine import decide"),
        ("contract/a.py", "def f():\n    from thoth.engine import decide"),
        ("contract/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import thoth.engine"),
        ("contract/a.py", "import importlib\nimportlib.import_module('thoth.engine')"),
        ("grammar/a.py", "import thoth.contract"),
        ("engine/a.py", "import thoth.evidence"),
        ("native/a.pyx", "from thoth.engine.table cimport Table"),
        ("native/a.pyx", "cimport thoth.engine.table as table"),
        ("native/a.pyx", "def f():\n    from thoth.engine import (\n        decide,\n    )"),
        ("native/a.pxd", "from thoth.engine cimport table"),
        ("native/a.pyx", "import os, thoth.engine"),
        ("sdk/python/a.py", "import thoth.engine"),
        ("sdk/python/a.py", "from .engine import decide"),
        ("sdk/python/a.py", "def f():\n    import thoth.grammar"),
        ("proxy/a.py", "import thoth.engine"),
    ],
)
def test_an_arrow_that_is_not_in_the_table_is_found(tmp_path: Path, file: str, text: str) -> None:
    build(tmp_path, {file: text})
    assert [found for found in imports(tmp_path) if not allowed(found)]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("contract/a.py", "import json, msgspec\nfrom .b import c\nfrom . import b\nfrom thoth.contract import b"),
        ("engine/a.py", "from thoth.contract import Request\nfrom thoth import grammar"),
        ("native/a.pyx", '"""\nimport thoth.engine\n"""\n# import thoth.engine\nfrom libc.stdint cimport uint64_t'),
        ("native/a.pyx", "from thoth.native.b cimport (\n    c,\n    d,\n)\nfrom thoth.native cimport b"),
        ("sdk/python/a.py", "import thoth.contract\nfrom . import b\ndef f():\n    from thoth.engine import decide"),
        ("sdk/python/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import thoth.engine"),
        ("proxy/a.py", "import thoth\nfrom thoth import instrument"),
        ("cli/a.py", "import thoth\nfrom thoth.engine import decide"),
    ],
)
def test_an_arrow_that_is_in_the_table_is_let_through(tmp_path: Path, file: str, text: str) -> None:
    build(tmp_path, {file: text})
    assert [str(found) for found in imports(tmp_path) if not allowed(found)] == []


@pytest.mark.parametrize(
    "files",
    [
        {"engine/a.py": "from .b import x", "engine/b.py": "from .a import y"},
        {"engine/a.py": "from . import b", "engine/b.py": "import thoth.engine.a"},
        {"engine/__init__.py": "from .a import x", "engine/a.py": "from thoth.engine import y"},
        {"engine/a.py": "from .b import x", "engine/b.py": "try:\n    from .a import y\nexcept ImportError:\n    pass"},
        {"native/a.pyx": "from thoth.native.b cimport x", "native/b.pxd": "from thoth.native.a cimport y"},
    ],
)
def test_a_circle_is_found(tmp_path: Path, files: dict[str, str]) -> None:
    build(tmp_path, files)
    assert circle(tmp_path) is not None


@pytest.mark.parametrize(
    "files",
    [
        {"engine/__init__.py": "from .a import a", "engine/a.py": "from .b import x", "engine/b.py": ""},
        {"engine/a.py": "from .b import x", "engine/b.py": "def f():\n    from .a import y"},
        {
            "engine/a.py": "from .b import x",
            "engine/b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import y",
        },
        {"native/a.pyx": "from thoth.native.a cimport x", "native/a.pxd": ""},
    ],
)
def test_what_only_looks_like_a_circle_is_let_through(tmp_path: Path, files: dict[str, str]) -> None:
    build(tmp_path, files)
    assert circle(tmp_path) is None


@pytest.mark.parametrize(
    "file", ["engine/utils.py", "native/core.pyx", "engine/policy_helpers.py", "cli/common/__init__.py"]
)
def test_a_name_that_says_nothing_is_found(tmp_path: Path, file: str) -> None:
    build(tmp_path, {file: ""})
    assert nameless(tmp_path)


def build(house: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = house / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def allowed(found: Import) -> bool:
    room, other = room_of(found.module), room_of(found.target)
    if other == room:
        return True
    if (room, other) in WHEN_EMBEDDING and found.when == "loading":
        return False
    return other in ARROWS[room]


def room_of(module: str) -> str:
    _, _, rest = module.partition(".")
    first = rest.partition(".")[0]
    return first if first in ARROWS else SDK


def circle(house: Path) -> list[str] | None:
    """The modules of some circle, or None. Rooms have no circles between them: the table has none."""
    graph: dict[str, set[str]] = {}
    for found in imports(house):
        same_room = room_of(found.module) == room_of(found.target)
        if found.when == "loading" and same_room and found.module != found.target:
            graph.setdefault(found.module, set()).add(found.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        modules: list[str] = error.args[1]
        return modules
    return None


def nameless(house: Path) -> list[str]:
    """Files and folders, in the rooms and beside them, with a word in their name that says nothing."""
    found = []
    for folder in [*ARROWS, "benchmarks", "tests", "examples"]:
        for path in sorted((house / folder).rglob("*")):
            words = {word for word in re.split(r"[_.\-]", path.name) if word}
            if "__pycache__" not in path.parts and words & NO_NAMES:
                found.append(str(path.relative_to(house)))
    return found


def imports(house: Path) -> list[Import]:
    """Every import of ours by ours."""
    files = {path: module_of(path.relative_to(house)) for path in sources(house)}
    modules = set(files.values())
    found = []
    for path, module in files.items():
        read = cython_imports if path.suffix in (".pyx", ".pxd") else python_imports
        package = module if path.stem == "__init__" else module.rpartition(".")[0]
        for line, target, name, when in read(path.read_text(encoding="utf-8"), package):
            if target.partition(".")[0] != "thoth":
                continue
            inner = f"{target}.{name}"
            is_module = inner in modules or (target == "thoth" and name in ARROWS)
            found.append(Import(path.relative_to(house), line, module, inner if name and is_module else target, when))
    return found


def sources(house: Path) -> list[Path]:
    patterns = ("*.py", "*.pyi", "*.pyx", "*.pxd")
    rooms = [(house / room).rglob(pattern) for room in ARROWS for pattern in patterns]
    return sorted(path for path in chain(*rooms) if "__pycache__" not in path.parts)


def module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    if path.as_posix().startswith(f"{SDK}/"):
        parts = parts[2:]
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(("thoth", *parts))


def python_imports(text: str, package: str) -> Iterator[tuple[int, str, str, str]]:
    """Line, absolute target, imported name or "", and when, of each import in the text."""

    def visit(node: ast.AST, when: str) -> Iterator[tuple[int, str, str, str]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, "", when
        elif isinstance(node, ast.ImportFrom):
            target = absolute("." * node.level + (node.module or ""), package)
            for alias in node.names:
                yield node.lineno, target, alias.name, when
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield node.lineno, absolute(argument.value, package), "", when
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for child in node.body:
                yield from visit(child, "checking")
            for child in node.orelse:
                yield from visit(child, when)
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            when = "called" if when == "loading" else when
        for child in ast.iter_child_nodes(node):
            yield from visit(child, when)

    yield from visit(ast.parse(text), "loading")


CYTHON_NOISE = re.compile(r'"""(?s:.*?)"""|\'\'\'(?s:.*?)\'\'\'|#[^\n]*')
CYTHON_FROM = re.compile(r"^([ \t]*)from[ \t]+([\w.]+)[ \t]+c?import[ \t]+(\([^)]*\)|[^\n]*)", re.MULTILINE)
CYTHON_IMPORT = re.compile(r"^([ \t]*)c?import[ \t]+([^\n]+)", re.MULTILINE)


def cython_imports(text: str, package: str) -> Iterator[tuple[int, str, str, str]]:
    """As `python_imports`, for .pyx and .pxd, by their spelling: an indented one counts as made when called."""
    text = CYTHON_NOISE.sub(lambda noise: "\n" * noise.group().count("\n"), text)
    for match in chain(CYTHON_FROM.finditer(text), CYTHON_IMPORT.finditer(text)):
        line = text.count("\n", 0, match.start()) + 1
        when = "called" if match[1] else "loading"
        if match.re is CYTHON_FROM:
            for name in re.split(r"[,\s]+", match[3].strip("() \n\t,")):
                yield line, absolute(match[2], package), name, when
        else:
            for target in match[2].split(","):
                yield line, target.split()[0], "", when


def absolute(target: str, package: str) -> str:
    dots = len(target) - len(target.lstrip("."))
    if dots == 0:
        return target
    parents = package.split(".")
    return ".".join(parents[: len(parents) - dots + 1] + ([target[dots:]] if target[dots:] else []))
