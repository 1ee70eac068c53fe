"""Policies as files and as texts: what is read, which file is the root, and where modules and packs are found.

Reading the disk is left to this file and to `bundle`; everything else here is handed what was read.
"""

import importlib.resources
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from ..contract import OperationError
from ..grammar import Message, PolicyError, parse, read_policy
from ..grammar.syntax import Policy
from . import bundle as bundles
from .check import check
from .checked import CheckedPolicy
from .checking.modules import uses
from .collecting import not_collecting
from .compiler import Compiler
from .evaluators import EVALUATORS, Evaluator, Native
from .learned import Baseline, read_learned


def load(
    files: Iterable[str | os.PathLike[str]],
    *,
    path: Iterable[str | os.PathLike[str]] = (),
    learned: str | os.PathLike[str] | Baseline | None = None,
    compiler: Compiler | None = None,
) -> tuple[CheckedPolicy, tuple[Message, ...]]:
    """Read and check a root policy and its modules; return it with the checker's warnings.

    With a `compiler`, and one file named, what has not changed since its last text is not read again.

    Raises:
        PolicyError: with every mistake of the policy and its modules.
        OperationError: a file cannot be read, or several files are roots.
    """
    mistakes: list[Message] = []
    files = list(files)
    for file in files:
        if bundles.is_bundle(file):
            raise OperationError(f"`{os.fspath(file)}` is a compiled bundle; name the policy's text")
    if not files:
        raise OperationError("no policy file is named")
    root: Policy | None = None
    given: dict[str, Policy] = {}
    if compiler is None or len(files) > 1:
        trees = [_read_policy(read_text(file), str(file), mistakes) for file in files]
        try:
            root, given = choose_root(trees)
        except OperationError:
            if mistakes:  # a `use` that cannot be read may be all that is missing
                raise PolicyError(mistakes) from None
            raise
    folders, packs = [Path(folder) for folder in path], set[str]()

    def find(name: str, using: str) -> Policy | None:
        if name in given:
            return given[name]
        for folder in (Path(using).parent, *folders):
            candidate = folder / f"{name}.thoth"
            if candidate.is_file():
                return _read_policy(read_text(candidate), str(candidate), mistakes, compiler)
        return _installed(name, packs)

    if isinstance(learned, str | os.PathLike):
        learned = read_learned(read_text(learned), str(learned))
    if compiler is None or root is not None:
        assert root is not None
        checked = check(root, find, baseline=learned, mistakes=mistakes)
    else:
        text = read_text(files[0])
        checked = compiler.check(text, str(files[0]), find, baseline=learned, mistakes=mistakes)
    return checked.policy, _to_the_author(checked.warnings, packs)


def compiled(
    compiler: Compiler | None,
    text: str,
    source: str,
    modules: Mapping[str, str] | None,
    learned: Baseline | None,
    evaluator: Literal["native", "reference"],
) -> tuple[CheckedPolicy, tuple[Message, ...], Evaluator]:
    """Return the policy of a text, the checker's warnings, and its evaluator."""
    texts = dict(modules or {})
    mistakes: list[Message] = []
    packs: set[str] = set()

    def find(name: str, using: str) -> Policy | None:
        if name not in texts:
            return _installed(name, packs)
        return _read_policy(texts[name], f"{name}.thoth", mistakes, compiler)

    with not_collecting():
        if compiler is None:
            checked = check(_read_policy(text, source, mistakes), find, baseline=learned, mistakes=mistakes)
        else:
            checked = compiler.check(text, source, find, baseline=learned, mistakes=mistakes)
    over: Evaluator
    if compiler is None or evaluator != "native":
        over = EVALUATORS[evaluator](checked.policy)
    else:
        over = Native.over(compiler.compile(checked.policy))
    return checked.policy, _to_the_author(checked.warnings, packs), over


def _read_policy(text: str, source: str, mistakes: list[Message], compiler: Compiler | None = None) -> Policy:
    """Return what can be read of a text, and add its mistakes to those of the run."""
    tree, found = read_policy(text, source) if compiler is None else compiler.module(text, source)
    mistakes.extend(found)
    return tree


def choose_root(trees: Sequence[Policy]) -> tuple[Policy, dict[str, Policy]]:
    """Return the one policy that no other uses, and the others by the name under which `use` finds them."""
    named = {Path(tree.source).stem: tree for tree in trees}
    used = {use.name for tree in trees for use, _ in uses(tree)}
    roots = [tree for tree in trees if Path(tree.source).stem not in used]
    if len(roots) != 1:
        names = ", ".join(f"`{tree.source}`" for tree in roots or trees)
        raise OperationError(f"{names}: exactly one of several policy files is the root, and it uses the others")
    return roots[0], {name: tree for name, tree in named.items() if tree is not roots[0]}


def read_bytes(file: str | os.PathLike[str]) -> bytes:
    """Read a file.

    Raises:
        OperationError: it cannot be read.
    """
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise OperationError(f"`{os.fspath(file)}` cannot be read: {error.strerror or error}") from error


def read_text(file: str | os.PathLike[str]) -> str:
    """Read a file as UTF-8.

    Raises:
        OperationError: it is not there, or not text.
    """
    try:
        return Path(file).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise OperationError(f"`{os.fspath(file)}` cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise OperationError(f"`{os.fspath(file)}` is not UTF-8 text, from byte {error.start}") from error


def _to_the_author(warnings: Iterable[Message], packs: set[str]) -> tuple[Message, ...]:
    """Leave out that a pack knows more classes and arguments than the policy that uses it: that is no mistake."""
    return tuple(one for one in warnings if not (one.source in packs and one.code in ("unseen", "undeclared")))


def _installed(name: str, packs: set[str]) -> Policy | None:
    """Return the pack of this name that came with the package, and note that it was taken."""
    folder = importlib.resources.files("thoth.policies").joinpath("packs")
    file = folder.joinpath(f"{name}.thoth")
    if not file.is_file():
        return None
    packs.add(f"{name}.thoth")
    return _pack(name)


@lru_cache(maxsize=64)
def _pack(name: str) -> Policy:
    file = importlib.resources.files("thoth.policies").joinpath("packs", f"{name}.thoth")
    return parse(file.read_text("utf-8"), f"{name}.thoth")
