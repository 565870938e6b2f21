"""Master keys as files: made once, their owner's alone, several at a time, and never gone before they are retired."""

from __future__ import annotations

import itertools
import os
import shutil
import stat

import pytest

from ddns.dns.names import from_text
from zone_signer import masters, settings
from zone_signer.masters import Files
from zone_signer.settings import Where
from zone_signer.vault import Vault, VaultError
from zone_signer.vaults import Vaults

HOME = from_text("smith.homes.example.")


@pytest.fixture
def path(tmp_path):
    """A master key that seals, in a folder of its own."""
    file = tmp_path / "state" / "signer.key"
    Files(file).load(create=True)
    return file


def held(path):
    """Return the ids of the master keys at *path*, the one that seals first."""
    return [vault.master for vault in Files(path).load()]


def files(path):
    return sorted(entry.name for entry in path.parent.iterdir())


def test_the_master_key_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "signer.key"

    (made,) = Files(path).load(create=True)
    (again,) = Files(path).load(create=True)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) == 32
    assert made.master == again.master
    assert files(path) == ["signer.key"]


def test_a_missing_master_key_is_said_in_one_sentence(tmp_path):
    with pytest.raises(VaultError, match=r"^the master key .*signer\.key is missing; put back its copy[^\n]*$"):
        Files(tmp_path / "signer.key").load()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
@pytest.mark.parametrize("beside", [False, True])
def test_a_master_key_that_others_may_read_is_refused(path, mode, beside):
    masters.add(path)
    (path if not beside else path.with_name(files(path)[1])).chmod(mode)

    with pytest.raises(VaultError, match="chmod 600"):
        Files(path).load()


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_master_key_of_another_length_is_refused(tmp_path, size):
    path = tmp_path / "signer.key"
    path.write_bytes(bytes(size))
    path.chmod(0o600)

    with pytest.raises(VaultError, match="does not hold 32 octets"):
        Files(path).load()
    with pytest.raises(VaultError, match=f"has 32 octets, and this has {size}"):
        masters.add(path, bytes(size))


def test_a_folder_in_the_place_of_the_master_key_is_one_sentence(tmp_path):
    folder = tmp_path / "signer.key"
    folder.mkdir(mode=0o700)

    with pytest.raises(VaultError, match="cannot be read: Is a directory"):
        Files(folder).load()


def test_a_master_key_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(VaultError, match="cannot be made: "):
        Files(tmp_path / "file" / "signer.key").load(create=True)


def test_a_new_master_key_is_never_made_where_keys_are_sealed_already(tmp_path):
    _, sealed = Vault(bytes(32)).make(HOME, 13)

    with pytest.raises(VaultError, match="is missing"):
        settings.open_vaults(Where(tmp_path / "signer.key"), sealed.sealed)

    assert list(tmp_path.iterdir()) == []


def test_a_master_key_that_opens_none_of_the_databases_keys_is_refused_at_the_start(path):
    _, sealed = Vault(bytes(32)).make(HOME, 13)

    with pytest.raises(VaultError, match=f"under master key {Vault(bytes(32)).master.hex()}, .*put back the right one"):
        settings.open_vaults(Where(path), sealed.sealed)


def test_any_master_key_that_is_here_is_enough_to_start(path):
    _, sealed = Vault(bytes(32)).make(HOME, 13)

    masters.add(path, bytes(32))

    assert settings.open_vaults(Where(path), sealed.sealed).open(HOME, sealed).tag == sealed.tag


def test_the_credentials_that_systemd_passes_come_before_the_state_folder(tmp_path, monkeypatch):
    passed = tmp_path / "credentials"
    passed.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(passed))
    assert settings.master_key_path(None, tmp_path) == tmp_path / "signer.key"
    assert settings.pin_path(None) is None

    Files(passed / "signer.key").load(create=True)
    added = masters.add(passed / "signer.key")
    (passed / "pkcs11.pin").touch()

    assert settings.master_key_path(None, tmp_path) == passed / "signer.key"
    assert settings.master_key_path(tmp_path / "given", tmp_path) == tmp_path / "given"
    assert settings.pin_path(None) == passed / "pkcs11.pin"
    assert settings.pin_path(tmp_path / "given") == tmp_path / "given"
    assert added.master in held(passed / "signer.key")


def test_where_keys_are_is_told_to_helpers_in_words():
    for where in (
        Where(masters.Path("/k")),
        Where(masters.Path("/k"), masters.Path("/m.so"), "one", masters.Path("/pin")),
        Where(masters.Path("/k"), masters.Path("/m.so"), "one"),
    ):
        assert Where.from_words(where.words()) == where


def test_a_master_key_that_is_added_opens_but_does_not_seal(path):
    (first,) = held(path)

    added = masters.add(path)

    assert held(path) == [first, added.master]
    assert masters.waiting(path) == [added.master]
    assert files(path) == ["signer.key", f"signer.key.{added.master.hex()}"]
    assert stat.S_IMODE(path.with_name(files(path)[1]).stat().st_mode) == 0o600


def test_a_master_key_is_added_only_once(path):
    masters.add(path, bytes(32))

    with pytest.raises(VaultError, match="is here already"):
        masters.add(path, bytes(32))
    with pytest.raises(VaultError, match="is here already"):
        masters.add(path, path.read_bytes())


def test_an_added_master_key_takes_the_place_of_the_one_that_seals_which_stays_to_open(path):
    (first,) = held(path)
    octets = path.read_bytes()
    added = masters.add(path)

    masters.put_first(path, added.master)

    assert held(path) == [added.master, first]
    assert masters.waiting(path) == []
    assert path.with_name(f"signer.key.{first.hex()}.old").read_bytes() == octets
    assert stat.S_IMODE(path.with_name(f"signer.key.{first.hex()}.old").stat().st_mode) == 0o600
    masters.put_first(path, added.master)
    assert held(path) == [added.master, first]


def test_stopped_at_any_moment_every_master_key_is_here_and_it_can_be_done_again(path, tmp_path, monkeypatch):
    (first,) = held(path)
    added = masters.add(path).master
    before = path.parent

    class Stopped(BaseException):
        pass

    for allowed in itertools.count():
        left = [allowed]
        path = shutil.copytree(before, tmp_path / str(allowed)) / "signer.key"

        def counted(real, left=left):
            def call(*arguments, **names):
                if not left[0]:
                    raise Stopped
                left[0] -= 1
                return real(*arguments, **names)

            return call

        with monkeypatch.context() as patched:
            for name in ("open", "link", "utime", "fsync", "rename", "replace", "unlink"):
                patched.setattr(os, name, counted(getattr(os, name)))
            try:
                masters.put_first(path, added)
            except Stopped:
                pass
            else:
                break
        assert {first, added} == set(held(path)), allowed
        masters.put_first(path, added)
        assert held(path)[0] == added, allowed
        masters.remove(path, first)
        assert files(path) == ["signer.key"], allowed
    assert allowed > 8


def test_a_master_key_that_does_not_wait_cannot_seal(path):
    with pytest.raises(VaultError, match="is missing"):
        masters.put_first(path, bytes(8))


def test_a_retired_master_key_is_overwritten_and_gone(path):
    (first,) = held(path)
    octets = path.read_bytes()
    added = masters.add(path)
    masters.put_first(path, added.master)
    old = path.with_name(f"signer.key.{first.hex()}.old")
    another_name = path.with_name("kept")
    os.link(old, another_name)

    masters.remove(path, first)

    assert files(path) == ["kept", "signer.key"]
    assert another_name.read_bytes() != octets  # what remains on the disk
    assert held(path) == [added.master]
    for unknown in (first, added.master):
        with pytest.raises(VaultError, match=r"there is no master key .* master show"):
            masters.remove(path, unknown)


def test_files_that_are_not_named_like_master_keys_are_left_alone(path):
    for name in ("signer.key.bak", "signer.key~", "signer.key.0123456789ABCDEF", "signer.key.0123456789abcdef.bak"):
        path.with_name(name).write_bytes(b"anything")

    assert len(held(path)) == 1


def test_a_master_key_under_the_name_of_another_is_refused(path):
    wrong = path.with_name("signer.key.0123456789abcdef")
    wrong.touch(mode=0o600)
    wrong.write_bytes(bytes(32))

    with pytest.raises(VaultError, match=f"is {Vault(bytes(32)).master.hex()}, another than its name says"):
        Files(path).load()


def test_a_running_signer_seals_with_the_new_master_key_as_soon_as_it_is_first(path):
    running = settings.open_vaults(Where(path), None)
    (first,) = running.masters
    _, before = running.make(HOME, 13)

    added = masters.add(path).master
    masters.put_first(path, added)
    _, after = running.make(HOME, 13)

    assert before.sealed[1:9] == first
    assert after.sealed[1:9] == added
    assert running.open(HOME, before).tag == before.tag


def test_a_running_signer_opens_what_another_has_sealed_with_a_master_key_that_was_added_meanwhile(path):
    running = settings.open_vaults(Where(path), None)

    added = masters.add(path)
    _, sealed = added.make(HOME, 13)

    assert running.open(HOME, sealed).tag == sealed.tag
    assert running.masters[1:] == (added.master,)


def test_a_running_signer_keeps_what_it_has_where_the_files_cannot_be_read_any_more(path, caplog):
    running = settings.open_vaults(Where(path), None)
    added = masters.add(path)
    path.with_name(f"signer.key.{added.master.hex()}").chmod(0o644)

    for _ in range(3):
        running.refresh()

    assert len(running.masters) == 1
    assert running.make(HOME, 13)
    (said,) = [record.getMessage() for record in caplog.records]
    assert "chmod 600" in said
    assert path.read_bytes().hex() not in caplog.text


def test_files_that_have_not_changed_are_not_read_again(path):
    files = Files(path)
    files.load()

    assert files.changed() is None
    masters.add(path)
    assert len(files.changed()) == 2
    assert files.changed() is None


def test_nothing_shows_a_master_key(path):
    octets = path.read_bytes()
    added = masters.add(path)
    vaults = Vaults(Files(path).load())

    shown = repr(vaults) + str(vaults) + repr(added)

    assert vaults.masters[0].hex() in shown
    assert octets.hex() not in shown
    with pytest.raises(TypeError, match="does not leave its process"):
        vaults.__reduce__()
