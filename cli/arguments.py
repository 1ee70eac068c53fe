"""The arguments that commands share, each with its one name and its one line of help."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter

SEVERAL = (1, None)
"""Several values may follow one flag, and the flag may be repeated."""

Files: TypeAlias = Annotated[
    list[Path],
    Parameter(name="FILE...", help="policy files: one root, and modules that it uses"),
]
PolicyFiles: TypeAlias = Annotated[
    list[Path],
    Parameter(name="--policy", consume_multiple=SEVERAL, help="policy files: one root, and modules that it uses"),
]
Folders: TypeAlias = Annotated[
    list[Path] | None,
    Parameter(name="--path", consume_multiple=SEVERAL, help="folders where `use` looks too, behind a file's own"),
]
Format: TypeAlias = Annotated[
    Literal["text", "json"],
    Parameter(name="--format", help="text for people (the default), json for editors and CI"),
]
EvaluatorName: TypeAlias = Annotated[
    Literal["native", "reference"],
    Parameter(name="--evaluator", help="native, the fast one (the default), or reference, which says the meaning"),
]
Learned: TypeAlias = Annotated[
    Path | None,
    Parameter(name="--learned", help="recorded behaviour, for `in baseline`"),
]
