"""Private keys at rest: they open where they belong, with the right master key, and nowhere else."""

from __future__ import annotations

import pickle
import stat

import msgspec
import pytest

from ddns.dns.names import from_text
from zone_signer import settings
from zone_signer.vault import Vault, VaultError, master_of

HOME = from_text("smith.homes.example.")
OTHER = from_text("jones.homes.example.")
MASTER = bytes(range(32))


@pytest.fixture
def vault():
    return Vault(MASTER)


@pytest.mark.parametrize("algorithm", [13, 15])
def test_a_sealed_key_opens_and_signs_as_the_same_key(vault, algorithm):
    key, sealed = vault.make(HOME, algorithm)

    opened = Vault(MASTER).open(HOME, sealed)

    assert (opened.tag, opened.algorithm, opened.public) == (key.tag, algorithm, key.public)
    assert (sealed.tag, sealed.algorithm, sealed.flags, sealed.public) == (key.tag, algorithm, 257, key.public)
    assert len(opened.sign(b"octets")) == 64


def test_a_key_that_was_moved_to_another_zone_does_not_open(vault):
    _, sealed = vault.make(HOME, 13)

    with pytest.raises(VaultError, match=r"of jones\.homes\.example\. was damaged or belongs elsewhere"):
        vault.open(OTHER, sealed)


@pytest.mark.parametrize(("field", "value"), [("tag", 1), ("algorithm", 15), ("id", "x")])
def test_a_key_whose_row_was_changed_does_not_open(vault, field, value):
    _, sealed = vault.make(HOME, 13)

    with pytest.raises(VaultError, match="damaged or belongs elsewhere"):
        vault.open(HOME, msgspec.structs.replace(sealed, **{field: value}))


@pytest.mark.parametrize("algorithm", [13, 15])
def test_a_key_whose_public_half_was_swapped_does_not_open(vault, algorithm):
    _, sealed = vault.make(HOME, algorithm)
    _, other = vault.make(HOME, algorithm)

    with pytest.raises(VaultError, match="does not fit its public half"):
        vault.open(HOME, msgspec.structs.replace(sealed, public=other.public))


@pytest.mark.parametrize("algorithm", [13, 15])
def test_no_flipped_bit_of_the_public_half_goes_unnoticed(vault, algorithm):
    _, sealed = vault.make(HOME, algorithm)

    for at in range(len(sealed.public)):
        octets = bytearray(sealed.public)
        octets[at] ^= 1
        with pytest.raises(VaultError, match="public half"):
            vault.open(HOME, msgspec.structs.replace(sealed, public=bytes(octets)))


@pytest.mark.parametrize("algorithm", [13, 15])
@pytest.mark.parametrize("size", [0, 4, 35])
def test_no_truncated_public_half_opens(vault, algorithm, size):
    _, sealed = vault.make(HOME, algorithm)

    with pytest.raises(VaultError, match="public half"):
        vault.open(HOME, msgspec.structs.replace(sealed, public=sealed.public[:size]))


def test_no_flipped_bit_goes_unnoticed(vault):
    _, sealed = vault.make(HOME, 15)

    for at in range(len(sealed.sealed)):
        octets = bytearray(sealed.sealed)
        octets[at] ^= 1
        with pytest.raises(VaultError):
            vault.open(HOME, msgspec.structs.replace(sealed, sealed=bytes(octets)))


def test_no_truncated_key_opens(vault):
    _, sealed = vault.make(HOME, 15)

    for size in range(len(sealed.sealed)):
        with pytest.raises(VaultError):
            vault.open(HOME, msgspec.structs.replace(sealed, sealed=sealed.sealed[:size]))


def test_another_master_key_is_told_from_the_right_one(vault):
    _, sealed = vault.make(HOME, 13)
    other = Vault(bytes(32))

    with pytest.raises(VaultError, match=f"master key {vault.master.hex()}, but {other.master.hex()} is here"):
        other.open(HOME, sealed)
    assert master_of(sealed.sealed) == vault.master


def test_every_key_has_a_nonce_of_its_own(vault):
    nonces = {vault.make(HOME, 13)[1].sealed[9:21] for _ in range(50)}

    assert len(nonces) == 50


def test_a_tag_that_is_taken_is_not_made_again(vault):
    taken = set(range(65536)) - set(range(0, 65536, 256))

    key, _ = vault.make(HOME, 15, taken)

    assert key.tag not in taken


def test_an_algorithm_that_is_not_for_signing_is_refused_in_one_sentence(vault):
    with pytest.raises(VaultError, match="take 13 or 15"):
        vault.make(HOME, 8)


@pytest.mark.parametrize("algorithm", [13, 15])
def test_nothing_shows_or_pickles_a_secret(vault, algorithm):
    key, sealed = vault.make(HOME, algorithm)

    assert repr(key) == f"SigningKey(tag={key.tag})"
    assert repr(vault) == f"Vault(master={vault.master.hex()})"
    assert sealed.sealed.hex() not in repr(sealed)
    assert MASTER.hex() not in repr(vault) + str(vault)
    for secret in (key, vault):
        with pytest.raises(TypeError):
            pickle.dumps(secret)


def test_the_master_key_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "signer.key"

    made = Vault.load(path, create=True)
    again = Vault.load(path, create=True)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) == 32
    assert made.master == again.master
    assert [entry.name for entry in tmp_path.iterdir()] == ["signer.key"]


def test_a_missing_master_key_is_said_in_one_sentence(tmp_path):
    with pytest.raises(VaultError, match=r"^the master key .*signer\.key is missing; put back its copy[^\n]*$"):
        Vault.load(tmp_path / "signer.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_master_key_that_others_may_read_is_refused(tmp_path, mode):
    path = tmp_path / "signer.key"
    Vault.load(path, create=True)
    path.chmod(mode)

    with pytest.raises(VaultError, match="chmod 600"):
        Vault.load(path)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_master_key_of_another_length_is_refused(tmp_path, size):
    path = tmp_path / "signer.key"
    path.write_bytes(bytes(size))
    path.chmod(0o600)

    with pytest.raises(VaultError, match="does not hold 32 octets"):
        Vault.load(path)


def test_a_folder_in_the_place_of_the_master_key_is_one_sentence(tmp_path):
    folder = tmp_path / "signer.key"
    folder.mkdir(mode=0o700)

    with pytest.raises(VaultError, match="cannot be read: Is a directory"):
        Vault.load(folder)


def test_a_master_key_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(VaultError, match="cannot be made: "):
        Vault.load(tmp_path / "file" / "signer.key", create=True)


def test_a_new_master_key_is_never_made_where_keys_are_sealed_already(tmp_path, vault):
    _, sealed = vault.make(HOME, 13)

    with pytest.raises(VaultError, match="is missing"):
        settings.open_vault(tmp_path / "signer.key", sealed.sealed)

    assert list(tmp_path.iterdir()) == []


def test_a_master_key_that_opens_none_of_the_databases_keys_is_refused_at_the_start(tmp_path, vault):
    _, sealed = vault.make(HOME, 13)
    settings.open_vault(tmp_path / "signer.key", None)

    with pytest.raises(VaultError, match="put back the right one"):
        settings.open_vault(tmp_path / "signer.key", sealed.sealed)


def test_the_credential_that_systemd_passes_comes_before_the_state_folder(tmp_path, monkeypatch):
    passed = tmp_path / "credentials"
    passed.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(passed))
    assert settings.master_key_path(None, tmp_path) == tmp_path / "signer.key"

    (passed / "signer.key").touch()

    assert settings.master_key_path(None, tmp_path) == passed / "signer.key"
    assert settings.master_key_path(tmp_path / "given", tmp_path) == tmp_path / "given"
