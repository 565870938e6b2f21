"""Private keys at rest: they open where they belong, with the right master key, and nowhere else."""

from __future__ import annotations

import pickle

import msgspec
import pytest

from ddns.dns.names import from_text
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

    key, _ = vault.make(HOME, 15, taken=taken)

    assert key.tag not in taken


def test_an_algorithm_that_is_not_for_signing_is_refused_in_one_sentence(vault):
    with pytest.raises(VaultError, match=r"algorithm 5 is not one .* take one of 8, 13, 14, 15"):
        vault.make(HOME, 5)


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
