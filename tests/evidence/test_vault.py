"""Values that are sealed, given out one by one, and destroyed."""

import errno
import os
from pathlib import Path

import pytest

from thoth.evidence.errors import EvidenceError
from thoth.evidence.storage import FileStorage
from thoth.evidence.vault import DoesNotFit, Erased, Vault, check_value, spell_box, subject_folder
from thoth.native.tray import Tray

from .simulated import SimulatedStorage

SECRETS = {"args.to": (bytes(range(16)), b'"eve@evil.example"'), "args.n": (bytes(16), b"1")}


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(str(tmp_path), FileStorage(), "00")


def kept(vault: Vault, subject: str = "ann", day: str = "2026-01-31") -> tuple[str, str]:
    tray = Tray(os.urandom, 100, 1_000_000)
    key, box = vault.key("acme", subject, day), spell_box(SECRETS, os.urandom(28))
    assert tray.put(b"{}", key, box, 1)
    vault.write(vault.place(vault.sealed(tray.take()), day), sync=True)
    return box[:16].hex(), key.name


def test_what_is_sealed_can_be_opened_again(vault: Vault) -> None:
    assert vault.open(*kept(vault)) == SECRETS


def test_a_value_is_in_no_file_in_clear(vault: Vault, tmp_path: Path) -> None:
    kept(vault)
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"eve@evil" not in file.read_bytes()


def test_keys_are_readable_by_their_owner_alone(vault: Vault, tmp_path: Path) -> None:
    kept(vault)
    (key,) = tmp_path.glob("keys/*/*.key")
    assert key.stat().st_mode & 0o077 == 0


def test_one_subject_of_one_tenant_on_one_day_has_one_key(vault: Vault) -> None:
    keys = {kept(vault, subject, day)[1] for subject in ("ann", "bob") for day in ("2026-01-30", "2026-01-31")}
    assert len(keys) == 4
    assert kept(vault)[1] == kept(vault)[1]
    assert subject_folder("a", "bc") != subject_folder("ab", "c")


def test_an_erased_subject_is_gone_and_another_stays(vault: Vault) -> None:
    ann, bob = kept(vault, "ann"), kept(vault, "bob")
    assert vault.erase("acme", "ann") == ["2026-01-31"]
    with pytest.raises(Erased, match="a `redaction` record says"):
        vault.open(*ann)
    assert vault.open(*bob) == SECRETS


def test_erasing_twice_or_nothing_is_no_error(vault: Vault) -> None:
    kept(vault)
    vault.erase("acme", "ann")
    assert vault.erase("acme", "ann") == []
    assert vault.erase("acme", "nobody") == []


def test_a_writer_notices_that_another_process_erased_a_subject(vault: Vault, tmp_path: Path) -> None:
    before = kept(vault)
    Vault(str(tmp_path), FileStorage()).erase("acme", "ann")
    after = kept(vault)
    assert vault.open(*after) == SECRETS
    with pytest.raises(Erased):
        vault.open(*before)


def test_two_processes_seal_with_the_same_key(vault: Vault, tmp_path: Path) -> None:
    other = Vault(str(tmp_path), FileStorage(), "01")
    assert other.open(*kept(vault)) == SECRETS
    assert vault.open(*kept(other)) == SECRETS


def test_a_box_that_was_changed_or_moved_does_not_open(vault: Vault, tmp_path: Path) -> None:
    box, key = kept(vault)
    (file,) = tmp_path.glob("boxes/*/*.box")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(Erased):
        vault.open(box, key)
    with pytest.raises(DoesNotFit, match="is not in"):
        vault.open("00" * 16, key)


def test_a_torn_box_hides_no_other(vault: Vault, tmp_path: Path) -> None:
    kept(vault)
    (file,) = tmp_path.glob("boxes/*/*.box")
    with file.open("ab") as stream:
        stream.write(b"\x9eTV1\xff")
    again = Vault(str(tmp_path), FileStorage(), "00")
    assert again.open(*kept(again)) == SECRETS


def test_a_disclosed_value_is_checked_against_its_commitment() -> None:
    from thoth.evidence.canonical import commitment

    salt, value = os.urandom(16), b'"x"'
    committed = commitment(salt, "args.to", value)
    check_value(committed, "args.to", salt, value)
    for path, other_salt, other in (("args.cc", salt, value), ("args.to", bytes(16), value), ("args.to", salt, b'"y"')):
        with pytest.raises(DoesNotFit):
            check_value(committed, path, other_salt, other)


@pytest.mark.parametrize("left", [b"", bytes(7), bytes(32)], ids=["empty", "torn", "zeros"])
def test_a_key_that_a_crash_left_unfinished_stands_in_nobodys_way(vault: Vault, tmp_path: Path, left: bytes) -> None:
    """Empty or torn: its maker was killed. Zeros: an erasure was, between writing over it and taking it away."""
    path = tmp_path / "keys" / subject_folder("acme", "ann") / "2026-01-31.key"
    path.parent.mkdir(parents=True)
    path.write_bytes(left)
    assert vault.open(*kept(vault)) == SECRETS
    assert Vault(str(tmp_path), FileStorage(), "01").open(*kept(vault)) == SECRETS


def test_a_key_is_waited_for_while_another_process_makes_it(vault: Vault, tmp_path: Path) -> None:
    other = Vault(str(tmp_path), FileStorage(), "01")

    class Slow(FileStorage):
        def create(self, path: str) -> int:
            file = super().create(path)
            if path.endswith(".key"):
                with pytest.raises(EvidenceError, match="locked for long by another process"):
                    kept(other)
            return file

    slow = Vault(str(tmp_path), Slow(), "02")
    assert other.open(*kept(slow)) == SECRETS
    assert slow.open(*kept(other)) == SECRETS


def test_an_erasure_is_noticed_also_by_who_has_sealed_nothing_yet(vault: Vault, tmp_path: Path) -> None:
    vault.key("acme", "ann", "2026-01-31")
    Vault(str(tmp_path), FileStorage()).erase("acme", "ann")
    assert vault.open(*kept(vault)) == SECRETS


def test_an_erasure_that_fails_half_way_is_noticed_by_who_seals(vault: Vault, tmp_path: Path) -> None:
    kept(vault)
    kept(vault, day="2026-02-01")

    class Failing(FileStorage):
        def open(self, path: str, *, write: bool = False) -> int:
            if path.endswith("2026-02-01.key"):
                raise OSError(errno.EIO, "EIO")
            return super().open(path, write=write)

    with pytest.raises(EvidenceError, match="cannot erase"):
        Vault(str(tmp_path), Failing()).erase("acme", "ann")
    assert vault.open(*kept(vault)) == SECRETS


def test_a_key_that_another_process_made_and_did_not_sync_is_durable_before_what_it_sealed_is() -> None:
    storage = SimulatedStorage(3)
    Vault("vault", storage, "00").key("acme", "ann", "2026-01-31")
    storage.end_process()
    box, key = kept(Vault("vault", storage, "01"))
    storage.cut_power()
    assert Vault("vault", storage).open(box, key) == SECRETS
