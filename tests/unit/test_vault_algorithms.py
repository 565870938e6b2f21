"""Keys of every algorithm and role, against the vectors of RFC 5702 and RFC 6605, and judged by dnspython."""

from __future__ import annotations

import base64
import hashlib
import struct

import dns.dnssec
import dns.name
import dns.rdata
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers, RSAPublicNumbers
from msgspec.structs import replace

from ddns.dns.names import from_text
from zone_signer import keys
from zone_signer.phase import Role
from zone_signer.rrsig import Signatory
from zone_signer.vault import SigningKey, Vault, VaultAway, VaultError, ecdsa, is_sealed, rsa_sha256
from zone_signer.vaults import Vaults

ORIGIN = from_text("example.net.")
HOME = from_text("smith.homes.example.")
WWW = from_text("www.example.net.")
EVERY = [8, 13, 14, 15]
SIGNATURE = {8: 256, 13: 64, 14: 96, 15: 64}  # octets
SECRETS = {13: 32, 14: 48, 15: 32}  # octets of a scalar

RSA = {  # RFC 5702 §6.1, in base64
    "n": "wVwaxrHF2CK64aYKRUibLiH30KpPuPBjel7E8ZydQW1HYWHfoGmidzC2RnhwCC293hCzw+TFR2nqn8OVSY5t2Q==",
    "e": "AQAB",
    "d": "UR44xX6zB3eaeyvTRzmskHADrPCmPWnr8dxsNwiDGHzrMKLN+i/HAam+97HxIKVWNDH2ba9Mf1SA8xu9dcHZAQ==",
    "p": "4c8IvFu1AVXGWeFLLFh5vs7fbdzdC6U82fduE6KkSWk=",
    "q": "2zZpBE8ZXVnL74QjG4zINlDfH+EOEtjJJ3RtaYDugvE=",
    "dmp1": "G2xAPFfK0KGxGANDVNxd1K1c9wOmmJ51mGbzKFFNMFk=",
    "dmq1": "GYxP1Pa7CAwtHm8SAGX594qZVofOMhgd6YFCNyeVpKE=",
    "iqmp": "icQdNRjlZGPmuJm2TIadubcO8X7V4y07aVhX464tx8Q=",
}
RSA_PUBLIC = "AwEAAcFcGsaxxdgiuuGmCkVImy4h99CqT7jwY3pexPGcnUFtR2Fh36BponcwtkZ4cAgtvd4Qs8PkxUdp6p/DlUmObdk="
RSA_SIGNATURE = "kRCOH6u7l0QGy9qpC9l1sLncJcOKFLJ7GhiUOibu4teYp5VE9RncriShZNz85mwlMgNEacFYK/lPtPiVYP4bwg=="
P384_PRIVATE = "WURgWHCcYIYUPWgeLmiPY2DJJk02vgrmTfitxgqcL4vwW7BOrbawVmVe0d9V94SR"
P384_PUBLIC = (
    "xKYaNhWdGOfJ+nPrL8/arkwf2EY3MDJ+SErKivBVSum1w/egsXvSADtNJhyem5RCOpgQ6K8X1DRSEkrbYQ+OB+v8/uX45NBwY8rp65F6Glur8I/m"
    "lVNgF6W/qTI37m40"
)
P384_DS = "72d7b62976ce06438e9c0bf319013cf801f09ecc84b8d7e9495f27e305c6a9b0563a9b5f4d288405c3008a946df983d6"


def made(algorithm, role=Role.CSK, *, masters=(bytes(32),), made={}):  # noqa: B006 - one of each kind is enough
    """Return a vault, and a key that it has made."""
    vault = Vault(masters[0])
    if (algorithm, role) not in made:
        made[algorithm, role] = vault.make(HOME, algorithm, role)
    return vault, *made[algorithm, role]


def judged(origin, public, owner, rdata, address, now):
    """Have dnspython validate the signature *rdata* over one A record."""
    key = dns.rrset.from_rdata(name(origin), 3600, dns.rdata.from_wire("IN", "DNSKEY", public, 0, len(public)))
    rrset = dns.rrset.from_text(name(owner), 3600, "IN", "A", address)
    sigs = dns.rrset.from_rdata(name(owner), 3600, dns.rdata.from_wire("IN", "RRSIG", rdata, 0, len(rdata)))
    dns.dnssec.validate(rrset, sigs, {name(origin): key}, now=now)


def name(wire):
    return dns.name.from_wire(wire, 0)[0]


def test_an_rsa_key_and_its_signature_are_those_of_rfc_5702_section_6_1():
    n = {field: int.from_bytes(base64.b64decode(value), "big") for field, value in RSA.items()}
    numbers = RSAPrivateNumbers(
        n["p"], n["q"], n["d"], n["dmp1"], n["dmq1"], n["iqmp"], RSAPublicNumbers(n["e"], n["n"])
    )
    public = keys.rsa_public(base64.b64decode(RSA["e"]), base64.b64decode(RSA["n"]))
    key = SigningKey(rsa_sha256(numbers.private_key()), keys.dnskey(256, 8, public))

    rdata = Signatory(ORIGIN, key).sign(WWW, 1, 3600, (bytes([192, 0, 2, 91]),), 946684800, 1893456000)

    assert base64.b64encode(public).decode() == RSA_PUBLIC
    assert key.tag == 9033
    assert base64.b64encode(rdata[18 + len(ORIGIN) :]).decode() == RSA_SIGNATURE


def test_a_p384_key_is_that_of_rfc_6605_section_6_2_and_signs_so_that_others_validate():
    scalar = int.from_bytes(base64.b64decode(P384_PRIVATE), "big")
    public = keys.dnskey(257, 14, base64.b64decode(P384_PUBLIC))
    key = SigningKey(ecdsa(derive_private_key(scalar, SECP384R1()), 14), public)

    rdata = Signatory(ORIGIN, key).sign(WWW, 1, 3600, (bytes([192, 0, 2, 1]),), 1281607225, 1284026425)

    assert key.tag == 10771
    assert hashlib.sha384(ORIGIN + public).hexdigest() == P384_DS
    assert len(rdata) == 18 + len(ORIGIN) + 96
    judged(ORIGIN, public, WWW, rdata, "192.0.2.1", 1281607226)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("algorithm", EVERY)
def test_a_key_of_every_kind_opens_and_signs_so_that_others_validate(algorithm, role):
    vault, key, sealed = made(algorithm, role)

    opened = vault.open(HOME, sealed)

    assert (opened.tag, opened.algorithm, opened.public, opened.blocks) == (key.tag, algorithm, key.public, False)
    assert (sealed.role, sealed.vault, sealed.flags) == (role, "sealed", 256 if role is Role.ZSK else 257)
    for one in (key, opened):
        rdata = Signatory(HOME, one).sign(HOME, 1, 3600, (bytes(4),), 1_800_000_000, 1_800_001_000)
        assert len(rdata) == 18 + len(HOME) + SIGNATURE[algorithm]
        judged(HOME, key.public, HOME, rdata, "0.0.0.0", 1_800_000_500)


@pytest.mark.parametrize("algorithm", [13, 14])
def test_signatures_whose_numbers_are_short_or_have_a_sign_octet_keep_their_length(algorithm):
    """RFC 6605 §4: both numbers are as long as the curve's, whatever DER makes of them."""
    _, key, _ = made(algorithm)

    lengths = {len(key.sign(struct.pack("!I", number))) for number in range(1500)}

    assert lengths == {SIGNATURE[algorithm]}


def test_programs_from_before_roles_open_what_they_could_have_made_and_nothing_else():
    versions = {(algorithm, role): made(algorithm, role)[2].sealed[0] for algorithm in EVERY for role in Role}

    assert {kind for kind, version in versions.items() if version == 1} == {(13, Role.CSK), (15, Role.CSK)}
    assert set(versions.values()) == {1, 2}
    assert all(is_sealed(made(*kind)[2].sealed) for kind in versions)
    assert not is_sealed(b"\x03" + bytes(16) + b"token")


@pytest.mark.parametrize("algorithm", EVERY)
@pytest.mark.parametrize("role", list(Role))
def test_a_key_whose_role_was_changed_does_not_open(algorithm, role):
    vault, _, sealed = made(algorithm, role)

    for other in {*Role, "king", ""} - {role}:
        flags = 256 if other == Role.ZSK else 257
        public = keys.dnskey(flags, algorithm, sealed.public[4:])
        for changed in ({"role": other}, {"role": other, "flags": flags, "public": public}):
            with pytest.raises(VaultError, match=r"damaged or belongs elsewhere|public half of another kind"):
                vault.open(HOME, replace(sealed, **changed))


@pytest.mark.parametrize("algorithm", EVERY)
@pytest.mark.parametrize("role", [Role.CSK, Role.ZSK])
def test_nothing_else_of_a_row_can_be_changed_or_moved(algorithm, role):
    vault, _, sealed = made(algorithm, role)
    others = [number for number in EVERY if number != algorithm]
    _, another = Vault(bytes(32)).make(HOME, algorithm, role)
    changes = [{"algorithm": number} for number in others]
    changes += [{"tag": sealed.tag ^ 1}, {"id": "x"}, {"flags": 0}, {"flags": sealed.flags ^ 1}, {"public": b""}]
    changes += [{"public": another.public}, {"public": sealed.public[:-1]}, {"public": sealed.public + b"\0"}]

    for change in changes:
        with pytest.raises(VaultError):
            vault.open(HOME, replace(sealed, **change))
    with pytest.raises(VaultError, match="belongs elsewhere"):
        vault.open(from_text("jones.homes.example."), sealed)


@pytest.mark.parametrize("algorithm", [8, 14])
def test_no_flipped_octet_of_the_sealed_goes_unnoticed(algorithm):
    vault, _, sealed = made(algorithm)

    for at in range(0, len(sealed.sealed), 7 if algorithm == 8 else 1):
        octets = bytearray(sealed.sealed)
        octets[at] ^= 1
        with pytest.raises(VaultError):
            vault.open(HOME, replace(sealed, sealed=bytes(octets)))
    for size in range(0, len(sealed.sealed), 11):
        with pytest.raises(VaultError):
            vault.open(HOME, replace(sealed, sealed=sealed.sealed[:size]))


@pytest.mark.parametrize("algorithm", EVERY)
def test_a_tag_that_is_taken_is_not_made_again(algorithm):
    taken = range(0, 65536, 2)

    key, sealed = Vault(bytes(32)).make(HOME, algorithm, Role.ZSK, taken)

    assert key.tag % 2 == 1
    assert sealed.tag == key.tag


def test_no_two_keys_of_a_zone_share_a_tag():
    vault, taken = Vault(bytes(32)), set()

    for _ in range(400):
        key, _ = vault.make(HOME, 15, Role.CSK, taken)
        assert key.tag not in taken
        taken.add(key.tag)


@pytest.mark.parametrize("algorithm", EVERY)
def test_a_key_moves_to_another_master_key_and_stays_the_same_key(algorithm):
    old, new = Vault(bytes(32)), Vault(bytes(range(32)))
    _, key, sealed = made(algorithm, Role.KSK)

    moved = Vaults([new, old]).reseal(HOME, sealed)

    assert moved is not None
    assert replace(moved, sealed=b"") == replace(sealed, sealed=b"")
    assert new.open(HOME, moved).public == key.public
    assert Vaults([new, old]).reseal(HOME, moved) is None
    assert Vaults([old]).reseal(HOME, sealed) is None
    with pytest.raises(VaultError, match=f"under master key {new.master.hex()}, but {old.master.hex()} is here"):
        old.open(HOME, moved)


def test_a_damaged_key_is_not_moved_to_another_master_key():
    old, new = Vault(bytes(32)), Vault(bytes(range(32)))
    _, _, sealed = made(14)
    _, other = old.make(HOME, 14)

    with pytest.raises(VaultError, match="damaged"):
        Vaults([new, old]).reseal(HOME, replace(sealed, sealed=sealed.sealed[:-1] + b"!"))
    with pytest.raises(VaultError, match="public half"):
        Vaults([new, old]).reseal(HOME, replace(sealed, public=other.public))


def test_several_master_keys_open_and_the_first_seals():
    old, new = Vault(bytes(32)), Vault(bytes(range(32)))
    both = Vaults([new, old])
    _, key, sealed = made(13)

    assert both.masters == (new.master, old.master)
    assert both.open(HOME, sealed).public == key.public
    assert new.open(HOME, both.make(HOME, 13)[1]).tag
    with pytest.raises(VaultAway, match="is sealed under master key"):
        Vaults([new]).open(HOME, sealed)


def test_a_key_in_a_token_that_is_not_here_says_what_to_start_with():
    vaults = Vaults([Vault(bytes(32))])
    _, _, sealed = made(13)
    elsewhere = replace(sealed, vault="pkcs11:one", sealed=b"\x03" + bytes(16) + b"one")

    for work in (vaults.open, vaults.destroy):
        with pytest.raises(VaultAway, match=r"is in the vault pkcs11:one, which is not here; start .* --pkcs11 "):
            work(HOME, elsewhere)
    with pytest.raises(VaultError, match="the vault pkcs11:one is not here"):
        vaults.make(HOME, 13, vault="pkcs11:one")
    assert vaults.reseal(HOME, elsewhere) is None


def test_a_key_that_is_damaged_is_lost_and_one_whose_vault_is_elsewhere_is_not():
    """Two signers may have different tokens; the one that lacks a key must not give it up."""
    vault, _, sealed = made(13)
    another = Vault(bytes(range(32)))

    with pytest.raises(VaultError) as damaged:
        vault.open(HOME, replace(sealed, tag=sealed.tag ^ 1))
    with pytest.raises(VaultError) as elsewhere:
        another.open(HOME, sealed)

    assert not isinstance(damaged.value, VaultAway)
    assert isinstance(elsewhere.value, VaultAway)
