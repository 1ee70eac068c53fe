"""`thoth build`: a policy as one compiled file."""

from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from ..engine import bundle, load
from ..engine.files import read_bytes, read_text
from .arguments import Files, Folders, Learned
from .printing import counted, say

Out: TypeAlias = Annotated[Path, Parameter(name=["--out", "-o"], help="the bundle to write, *.thothb")]
Sign: TypeAlias = Annotated[Path | None, Parameter(name="--sign", help="sign it with this key: Ed25519, PEM")]


def build(files: Files, /, *, out: Out, path: Folders = None, learned: Learned = None, sign: Sign = None) -> int:
    """Compile a policy into one file that `--policy` takes.

    The bundle holds the table as it is decided by, the rules to explain it
    with, the baseline, and the texts that it was built from. It is written in
    one step: whoever has the old one open keeps it. With a key it is signed,
    and `Engine.from_file(..., trusted=[...])` takes only such bundles.

    For example:
      thoth build payments.thoth -o payments.thothb
      thoth build payments.thoth -o payments.thothb --sign release.pem

    Exit codes: 0 it is written, 1 mistakes in the policy, 2 wrong usage, or a
    file that cannot be read or written.
    """
    policy, _ = load(files, path=path or (), learned=learned)
    named = dict.fromkeys([*map(str, files), *(rule.source for rule in policy.rules if Path(rule.source).is_file())])
    sources = {file: read_text(file) for file in named}
    content = bundle.build(policy, sources, None if sign is None else read_bytes(sign))
    bundle.write(out, content)
    rules = counted(len(policy.rules) + len(policy.result_rules), "rule")
    signed = "" if sign is None else ", signed"
    say(f"{out}: {rules}, digest {policy.digest[:12]}{signed}")
    return 0
