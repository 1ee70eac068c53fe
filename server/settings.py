"""What `thoth serve` is told: a TOML file, then the environment, then the command line; the later word counts."""

import os
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from ..contract import OperationError

PREFIX: Final = "THOTH_"
Recording: TypeAlias = Literal["async", "sync", "none"]


class Approvers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The people behind a name that policies ask: principals of API keys. `webhook` is told of each hold.

    `webhook_secret_env` names the environment variable with the secret that signs what the webhook gets, `whsec_…`.
    """

    members: list[str]
    webhook: str | None = None
    webhook_secret_env: str | None = None


class Operator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody whose signed overrides count: `public_key` is an Ed25519 key, 32 bytes in base64."""

    public_key: str


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every option of the sidecar. Times in seconds, paths as the operator wrote them.

    `sessions_back_s` is how far back sessions are taken from the evidence when the process starts, `session_idle_s`
    after how long a session in which nothing happens is forgotten; `hand_over` leaves what their users said and their
    tools returned to the next process, in a file beside the socket.

    `state` is the folder of holds and keys. `http` is an address, host:port, `http_socket` a Unix socket; both empty
    leave HTTP away. `tls_cert` and `tls_key` are PEM files, for an address that other machines reach. `uids` are the
    users who may connect to a Unix socket, none named means our own. `tenants` is a folder of tenants, each with a
    policy, evidence, keys and holds of its own; then the options for these are left away. `workers` are processes.
    """

    policy: list[str] = []
    tenants: str = ""
    path: list[str] = []
    learned: str = ""
    evidence: str = ""
    recording: Recording = "async"
    socket: str = ""
    http: str = ""
    http_socket: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    state: str = ""
    uids: list[int] = []
    approvers: dict[str, Approvers] = {}
    operators: dict[str, Operator] = {}
    sessions_back_s: float = 86_400.0
    hand_over: bool = True
    session_idle_s: float = 86_400.0
    drain_s: float = 10.0
    workers: int = 1
    watch: bool = True
    log: Literal["json", "text"] = "json"

    def socket_path(self) -> Path:
        """Return where frames are taken: the default lies in the user's runtime folder."""
        if self.socket:
            return Path(self.socket)
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        if not runtime:
            raise OperationError("there is no XDG_RUNTIME_DIR to put the socket in; write `--socket PATH`")
        return Path(runtime) / "thoth" / "thoth.sock"


WORKERS_MAX: Final = 64
IN_THE_FILE: Final = ("approvers", "operators")
LISTS: Final = frozenset({"policy", "path", "uids"})


def read_settings(file: Path | None, environment: Mapping[str, str], given: Mapping[str, Any]) -> Settings:
    """Return the settings of a file, overridden by THOTH_… variables, overridden by what was `given`.

    Raises:
        OperationError: an option is missing, unknown, or of the wrong kind; which one, and where.
    """
    told: dict[str, Any] = {}
    if file is not None:
        try:
            told = tomllib.loads(file.read_text("utf-8"))
        except OSError as error:
            raise OperationError(f"`{file}` cannot be read: {error.strerror or error}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise OperationError(f"`{file}` is not TOML: {error}") from error
    for name in Settings.__struct_fields__:
        value = environment.get(PREFIX + name.upper())
        if value is not None and name not in IN_THE_FILE:
            told[name] = [part for part in value.split(os.pathsep) if part] if name in LISTS else value
    told.update({name: value for name, value in given.items() if value is not None})
    try:
        settings = msgspec.convert(told, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise OperationError(f"settings{f' of `{file}`' if file else ''}: {error}") from error
    _check(settings)
    return settings


OF_EACH_TENANT: Final = ("policy", "evidence", "state", "approvers", "uids")


def _check(settings: Settings) -> None:
    if settings.session_idle_s <= 0:
        raise OperationError(f"`session_idle_s` is a number of seconds above 0, not {settings.session_idle_s}")
    if not 1 <= settings.workers <= WORKERS_MAX:
        raise OperationError(f"`workers` is 1 to {WORKERS_MAX}, not {settings.workers}")
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise OperationError("a certificate and its key go together; write `--tls-cert FILE --tls-key FILE`")
    if settings.tenants:
        for name in OF_EACH_TENANT:
            if getattr(settings, name):
                raise OperationError(f"with `tenants` each tenant's folder has its own; leave `{name}` away")
        return
    if not settings.policy:
        raise OperationError("no policy is named; write `--policy FILE`")
    if settings.recording == "none" and settings.evidence:
        raise OperationError("`recording` is `none`, and an evidence log is named; leave one of them away")
    if settings.recording != "none" and not settings.evidence:
        raise OperationError(
            "no evidence log is named; write `--evidence DIR`, or `--recording none` to decide without evidence"
        )


def http_address(address: str, tls: bool) -> tuple[str, int]:
    """Return host and port of an address; one that other machines reach needs a certificate.

    Raises:
        OperationError: it is none, or needs one.
    """
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise OperationError(f"`--http {address}` is no address; write host:port, 127.0.0.1:8089 say")
    try:
        ip = ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise OperationError(f"`--http {address}`: `{host}` is no IP address; write the one to listen on") from None
    if not ip.is_loopback and not tls:
        raise OperationError(
            f"`--http {address}` can be reached from other machines, which needs a certificate; write "
            "`--tls-cert FILE --tls-key FILE`, or listen on 127.0.0.1 behind a proxy that has one"
        )
    return str(ip), int(port)
