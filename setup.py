"""The map from rooms to import names, and the compilation of `native/`.

A folder at the top is a room and its import name is `thoth.` plus its name;
`sdk/python/` is `thoth` itself. Everything else about the distribution is in
pyproject.toml.

CHECKED=1 in the environment builds the extensions with bounds checks,
wraparound, initialisation checks and C assertions.
"""

import os
import shutil
from pathlib import Path

import Cython
from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup
from setuptools.command.build_py import build_py

ROOMS = {
    "thoth": "sdk/python",
    "thoth.contract": "contract",
    "thoth.grammar": "grammar",
    "thoth.native": "native",
    "thoth.engine": "engine",
    "thoth.evidence": "evidence",
    "thoth.server": "server",
    "thoth.simulation": "simulation",
    "thoth.proxy": "proxy",
    "thoth.cli": "cli",
    "thoth.policies": "policies",
}
CHECKED = os.environ.get("CHECKED", "") not in ("", "0")
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKED,
    "wraparound": CHECKED,
    "initializedcheck": CHECKED,
    "cdivision": True,
}
# Never -march=native: a wheel runs on other machines than the one that built it.
COMPILE_ARGS = ["-O1", "-g", "-UNDEBUG"] if CHECKED else ["-O3", "-g0", "-DNDEBUG"]
# make says so where the compiler has it: then whoever loads the extensions has to load its runtime first.
LINK_ARGS = ["-fsanitize=address"] if CHECKED and os.environ.get("SANITIZED", "") not in ("", "0") else []
COMPILE_ARGS += [*LINK_ARGS, "-fno-omit-frame-pointer"] if LINK_ARGS else []

os.chdir(Path(__file__).resolve().parent)
BUILD = Path("build")
INCLUDE = BUILD / "cyinc"
BUILT_WITH = BUILD / "built_with.txt"


def packages() -> dict[str, str]:
    """Import name to folder: every room, and every package inside one."""
    found = dict(ROOMS)
    for room, folder in ROOMS.items():
        for inner in find_packages(folder):
            found[f"{room}.{inner}"] = f"{folder}/{inner.replace('.', '/')}"
    missing = [folder for folder in found.values() if not Path(folder, "__init__.py").is_file()]
    assert not missing, f"rooms without an `__init__.py`: {missing}"
    return found


def lay_out_pxd() -> None:
    """Copy each `.pxd` to where its import path says it is.

    Cython looks for a `.pxd` by import path on disk, so under a mapped folder even a module's own one is silently not
    found. Copies keep their times, because Cython compares times to see what is stale.
    """
    shutil.rmtree(INCLUDE, ignore_errors=True)
    for package, folder in packages().items():
        target = INCLUDE.joinpath(*package.split("."))
        target.mkdir(parents=True, exist_ok=True)
        (target / "__init__.pxd").touch()
        for pxd in sorted(Path(folder).glob("*.pxd")):
            shutil.copy2(pxd, target / pxd.name)


def extensions() -> list[Extension]:
    sources = sorted(Path("native").glob("*.pyx"))
    assert sources, "no `native/*.pyx` to compile; the wheel would be pure Python without a word"
    lay_out_pxd()
    built_with = f"Cython {Cython.__version__}\n{DIRECTIVES}\n{COMPILE_ARGS}\n"
    changed = not BUILT_WITH.is_file() or BUILT_WITH.read_text() != built_with
    modules = cythonize(
        [
            Extension(
                f"thoth.native.{source.stem}",
                [str(source)],
                include_dirs=["native"],
                depends=[str(header) for header in sorted(Path("native").glob("*.h"))],
                extra_compile_args=COMPILE_ARGS,
                extra_link_args=LINK_ARGS,
            )
            for source in sources
        ],
        build_dir=str(BUILD / "cython"),
        include_path=[str(INCLUDE)],
        compiler_directives=DIRECTIVES,
        force=changed,
        quiet=True,
    )
    # Written last: were it written first, a failed translation would leave old C code that looks new.
    if changed:
        BUILT_WITH.write_text(built_with)
    for module in modules:
        module.depends.append(str(BUILT_WITH))
    return modules


class BuildPy(build_py):
    """Copies modules, after taking away what earlier builds left behind.

    build/ is kept so that only changed extensions are compiled again; without this a deleted module would stay in
    every later wheel.
    """

    def run(self) -> None:
        kept = {
            self.get_finalized_command("build_ext").get_ext_filename(extension.name)
            for extension in self.distribution.ext_modules
        }
        library = Path(self.build_lib)
        for path in library.rglob("*"):
            if path.is_file() and str(path.relative_to(library)) not in kept:
                path.unlink()
        super().run()


setup(
    packages=sorted(packages()),
    package_dir=packages(),
    package_data={"": ["*.lark", "*.pyi", "py.typed"], "thoth.policies": ["**/*.thoth"]},
    ext_modules=extensions(),
    cmdclass={"build_py": BuildPy},
    options={"build_ext": {"parallel": True}},
)
