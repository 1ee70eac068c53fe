"""The settings of the `policy` item: what holds where a policy is silent, and what may be said instead."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...contract import STRICTNESS, Effect, Mode
from ...contract.attributes import DATA_ORDER
from ...contract.decision import USER
from ...grammar import syntax as s
from .. import checked as c
from .clauses import EFFECTS
from .report import File

PROVENANCE_BYTES_MAX: Final = 64 * 1024 * 1024
SCAN_CHARS_MAX: Final = 16 * 1024 * 1024
IN_FLIGHT_S_MAX: Final = 31 * 86_400
LADDER_S_MAX: Final = 366 * 86_400
LADDER_STEPS_MAX: Final = 100
STEPS: Final = ("allow", "step_up", "block")


@dataclass
class Settings:
    """Everything that a policy item may say, as it holds where it says nothing."""

    name: str = "policy"
    version: str = ""
    regimes: tuple[str, ...] = ()
    default: Effect = Effect.BLOCK
    mode: c.ModeSetting = c.ModeSetting()
    approvers: tuple[str, ...] = ()
    lenient: bool = False
    ladder: c.Ladder = c.Ladder()
    provenance_bytes: int = c.Bounds().provenance_bytes
    scan_chars: int = c.Bounds().scan_chars
    in_flight_s: int = c.Bounds().in_flight_s
    data_order: tuple[str, ...] = DATA_ORDER


def read(file: File) -> Settings:
    """Return the settings of the root file."""
    found = Settings()
    written = [item for item in file.policy.items if isinstance(item, s.PolicyItem)]
    for item in written[1:]:
        file.error(item.at, f"a file has one `policy` item, and there is one on line {written[0].at.line}", "settings")
    for item in written[:1]:
        found.name = item.name
        seen: dict[str, s.Setting] = {}
        for setting in item.settings:
            reader = _READERS.get(setting.name)
            if reader is None:
                near = file.near(setting.name, _READERS)
                file.error(
                    setting.at,
                    f"unknown setting `{setting.name}`{near or '; the settings are ' + ', '.join(_READERS)}",
                    "unknown-name",
                )
            elif setting.name in seen:
                before = seen[setting.name].at.line
                file.error(setting.at, f"`{setting.name}` is set twice, first on line {before}", "settings")
            else:
                seen[setting.name] = setting
                reader(file, setting, found)
    return found


def _texts(file: File, setting: s.Setting) -> tuple[str, ...]:
    """Return a list of distinct names."""
    words: dict[str, None] = {}
    for value in setting.values:
        if not isinstance(value, s.Text | s.Name) or not value.value:
            file.error(value.at, f"`{setting.name}` takes names", "settings")
        elif value.value in words:
            file.error(value.at, f"`{value.value}` stands twice in `{setting.name}`", "settings")
        else:
            words[value.value] = None
    return tuple(words)


def _word(file: File, setting: s.Setting, known: tuple[str, ...]) -> str | None:
    """Return the one word of a setting, None after saying which it could be."""
    value = setting.values[0] if len(setting.values) == 1 else None
    word = value.value if isinstance(value, s.Name) else None
    if word in known:
        return word
    choice = " or ".join(f"`{setting.name} {k}`" for k in known)
    file.error(setting.at, f"`{setting.name}` takes one of {len(known)} words; write {choice}"
               if len(known) > 1 else f"write {choice}", "settings")  # fmt: skip
    return None


def _version(file: File, setting: s.Setting, found: Settings) -> None:
    if len(setting.values) == 1 and isinstance(setting.values[0], s.Text):
        found.version = setting.values[0].value
    else:
        file.error(setting.at, 'a version is a text; write `version "2026.11"`', "settings")


def _regimes(file: File, setting: s.Setting, found: Settings) -> None:
    found.regimes = _texts(file, setting)


def _default(file: File, setting: s.Setting, found: Settings) -> None:
    word = _word(file, setting, ("allow", "block"))
    if word is not None:
        found.default = EFFECTS[word]


def _mode(file: File, setting: s.Setting, found: Settings) -> None:
    if setting.form == "from request":
        if setting.values:
            file.error(setting.at, "`mode from request` names no mode", "settings")
        found.mode = c.ModeSetting("from_request")
        return
    word = _word(file, setting, tuple(mode.value for mode in Mode))
    if word is not None:
        found.mode = c.ModeSetting("at_least" if setting.form == "at least" else "fixed", Mode(word))


def _approvers(file: File, setting: s.Setting, found: Settings) -> None:
    for value in setting.values:
        if isinstance(value, s.Name):
            file.error(value.at, f'approvers are written in double quotes; write `"{value.value}"`', "settings")
        elif isinstance(value, s.Text) and value.value == USER:
            file.error(value.at, "the user approves only where a rule says `ask user`; name somebody else", "settings")
    found.approvers = _texts(file, setting)


def _arguments(file: File, setting: s.Setting, found: Settings) -> None:
    found.lenient = _word(file, setting, ("lenient",)) is not None


def _ladder(file: File, setting: s.Setting, found: Settings) -> None:
    values = list(setting.values)
    window = c.Ladder().window_s
    if values and isinstance(values[-1], s.Duration):
        duration = values.pop()
        assert isinstance(duration, s.Duration)
        window = _between(file, duration.at, duration.seconds, 1, LADDER_S_MAX, "a ladder looks back 1s to 366d")
    steps: list[Effect] = []
    for value in values:
        if not isinstance(value, s.Name) or value.value not in STEPS:
            file.error(value.at, "the steps of a ladder are `allow`, `step_up` and `block`", "settings")
            return
        step = EFFECTS[value.value]
        if steps and STRICTNESS[step] < STRICTNESS[steps[-1]]:
            file.error(
                value.at, f"a ladder only gets stricter, and `{value.value}` is milder than the step before", "settings"
            )
            return
        steps.append(step)
    if not 1 <= len(steps) <= LADDER_STEPS_MAX:
        file.error(
            setting.at, f"a ladder has 1 to {LADDER_STEPS_MAX} steps, like `ladder allow, step_up, block`", "settings"
        )
        return
    found.ladder = c.Ladder(tuple(steps), window)


def _data(file: File, setting: s.Setting, found: Settings) -> None:
    words = _texts(file, setting)
    if len(words) == len(setting.values) and len(words) < 2:
        file.error(setting.at, "`data` orders two or more words, like `data public < internal < secret`", "settings")
    if len(words) >= 2:
        found.data_order = words


def _provenance(file: File, setting: s.Setting, found: Settings) -> None:
    size = _size(file, setting, PROVENANCE_BYTES_MAX, "64mb")
    found.provenance_bytes = found.provenance_bytes if size is None else size


def _scan(file: File, setting: s.Setting, found: Settings) -> None:
    size = _size(file, setting, SCAN_CHARS_MAX, "16mb")
    found.scan_chars = found.scan_chars if size is None else size


def _size(file: File, setting: s.Setting, most: int, shown: str) -> int | None:
    value = setting.values[0] if len(setting.values) == 1 else None
    if not isinstance(value, s.Size):
        file.error(setting.at, f"`{setting.name}` takes a size, like `{setting.name} 256kb`", "settings")
        return None
    return _between(file, value.at, value.bytes, 1, most, f"`{setting.name}` is at least 1b and at most {shown}")


def _in_flight(file: File, setting: s.Setting, found: Settings) -> None:
    value = setting.values[0] if len(setting.values) == 1 else None
    if not isinstance(value, s.Duration):
        file.error(setting.at, "`in flight` takes a duration, like `in flight 1h`", "settings")
        return
    found.in_flight_s = _between(
        file, value.at, value.seconds, 1, IN_FLIGHT_S_MAX, "`in flight` is at least 1s and at most 31d"
    )


def _between(file: File, at: s.Span, value: int, least: int, most: int, text: str) -> int:
    if not least <= value <= most:
        file.error(at, text, "limit")
        return least
    return value


_READERS: Final[dict[str, Callable[[File, s.Setting, Settings], None]]] = {
    "version": _version,
    "regimes": _regimes,
    "default": _default,
    "mode": _mode,
    "approvers": _approvers,
    "arguments": _arguments,
    "ladder": _ladder,
    "data": _data,
    "provenance": _provenance,
    "scan": _scan,
    "in flight": _in_flight,
}
