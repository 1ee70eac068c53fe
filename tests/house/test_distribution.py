"""What is shipped: a wheel with extensions and no sources of them, and an sdist that builds the same wheel.

Everything is built in a copy of the house, without a network. The copy takes build/ along, so the wheel from the tree
compiles only what has changed; the wheel from the sdist compiles everything, as a stranger's machine would.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]
LEFT_BEHIND = shutil.ignore_patterns(".*", "dist", "out", "var", "*.egg-info", "__pycache__")

# A second extension, for the copy only: it builds only if a .pxd is found by its import path.
PROBE = """
from thoth.native.glob cimport glob_holds

def probe(str text not None):
    return glob_holds("*.thoth", text)
"""


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sdist.tar.gz, tree.whl built from the tree, and sdist.whl built from the unpacked sdist.

    Built once for all workers: it takes a minute, and a worker that needs it waits for the one that builds it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shipped"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "sdist.whl").exists():
            ship(folder)
    return folder


def ship(folder: Path) -> None:
    tree = folder / "tree"
    shutil.copytree(HOUSE, tree, ignore=LEFT_BEHIND)
    (tree / "native/probe.pyx").write_text(PROBE)
    # What an earlier build left in build/ must not be shipped again.
    for library in (tree / "build").glob("lib*"):
        (library / "thoth/engine/deleted_long_ago.py").write_text("")

    build("--sdist", tree, folder)
    build("--wheel", tree, folder / "tree-dist")
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # PEP 706; not in the first 3.11
        archive.extractall(folder / "unpacked", **safely)  # type: ignore[arg-type]
    (unpacked,) = (folder / "unpacked").iterdir()
    build("--wheel", unpacked, folder / "sdist-dist")

    sdist.rename(folder / "sdist.tar.gz")
    for source in ("tree", "sdist"):
        (wheel,) = (folder / f"{source}-dist").glob("*.whl")
        wheel.rename(folder / f"{source}.whl")


def build(kind: str, source: Path, target: Path) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", kind, "--outdir", str(target), str(source)]
    environment = {name: value for name, value in os.environ.items() if name != "CHECKED"}
    run = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize("source", ["tree", "sdist"])
class TestWheel:
    def test_every_pyx_is_an_extension(self, shipped: Path, source: str) -> None:
        built = {name.split(".")[0] for name in names_in(shipped / f"{source}.whl") if name.endswith((".so", ".pyd"))}
        assert built == {f"thoth/native/{path.stem}" for path in (shipped / "tree/native").glob("*.pyx")}

    def test_it_holds_no_sources_of_extensions(self, shipped: Path, source: str) -> None:
        names = names_in(shipped / f"{source}.whl")
        assert not [name for name in names if name.endswith((".c", ".h", ".pyx", ".pxd", ".o"))]

    def test_it_holds_nothing_but_the_package(self, shipped: Path, source: str) -> None:
        tops = {name.split("/")[0] for name in names_in(shipped / f"{source}.whl")}
        assert {top for top in tops if not top.endswith(".dist-info")} == {"thoth"}

    def test_it_holds_what_is_read_at_run_time(self, shipped: Path, source: str) -> None:
        """Every room in full: modules, stubs, grammars, packs, and the mark that says the package has types."""
        expected = set()
        for folder in [path.parent for path in HOUSE.glob("*/__init__.py")]:
            if folder.name in ("tests", "benchmarks", "examples"):
                continue
            for path in folder.rglob("*"):
                shipped_kind = path.suffix in (".py", ".pyi", ".lark", ".thoth") and "__pycache__" not in path.parts
                if shipped_kind and (path.suffix != ".thoth" or folder.name == "policies"):
                    expected.add(f"thoth/{path.relative_to(HOUSE).as_posix()}")
        for path in (HOUSE / "sdk/python").rglob("*.py*"):
            if path.suffix in (".py", ".pyi"):
                expected.add(f"thoth/{path.relative_to(HOUSE / 'sdk/python').as_posix()}")
        expected.add("thoth/py.typed")
        names = names_in(shipped / f"{source}.whl")
        assert expected - names == set()
        assert "thoth/engine/deleted_long_ago.py" not in names

    def test_its_extensions_run(self, shipped: Path, source: str, tmp_path: Path) -> None:
        with zipfile.ZipFile(shipped / f"{source}.whl") as archive:
            archive.extractall(tmp_path)
        program = (
            f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
            "from thoth.native import probe\n"
            f"assert probe.__file__.startswith({str(tmp_path)!r})\n"
            "print(probe.probe('a.thoth'), probe.probe('a.rego'))"
        )
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert run.stdout.split() == ["True", "False"]


def test_the_sdist_holds_every_source_and_nothing_built(shipped: Path) -> None:
    with tarfile.open(shipped / "sdist.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = (".py", ".pyx", ".pxd", ".pyi", ".lark", ".thoth")
    rooms = [path.parent for path in HOUSE.glob("*/__init__.py")] + [HOUSE / "sdk/python"]
    for room in rooms:
        for path in room.rglob("*"):
            if path.suffix in wanted and "__pycache__" not in path.parts:
                assert path.relative_to(HOUSE).as_posix() in names
    assert not [name for name in names if name.endswith((".c", ".so", ".o", ".pyc"))]
