"""Who has the whole database, and everything but a master key, opens no signing key. This tries."""

from __future__ import annotations

import base64
import hashlib
import itertools
import logging
import re
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_der_private_key
from msgspec.structs import replace
from signing import POLICY, add
from waiting import wait_for

from ddns.dns import names
from ddns.dns.names import from_text
from ddns.store import signing as signing_rows
from ddns.zone.jobs import SealedKey
from zone_signer.keyring import KeyRing
from zone_signer.phase import Role
from zone_signer.signer import Signer
from zone_signer.vault import Vault, VaultError
from zone_signer.vaults import Vaults

ZONES = ("a.test.", "b.test.")
KINDS = [(algorithm, role) for algorithm in (8, 13, 14, 15) for role in (Role.CSK, Role.KSK, Role.ZSK)]
MASTERS = [hashlib.sha256(b"a master key").digest(), hashlib.sha256(b"the one before").digest()]
OLD = Vault(MASTERS[1])
BOTH = Vaults([Vault(MASTERS[0]), OLD])


@pytest.fixture
def stolen(admin, connected, postgres, database):
    """Two zones with keys of every kind under two master keys: the keys by zone, and the database as pg_dump has it."""

    async def fill():
        kept = {}
        for origin in ZONES:
            zone = await add(admin, origin, "www 60 A 192.0.2.1")
            apex, taken = from_text(origin), set()
            for number, (algorithm, role) in enumerate(KINDS):
                _, key = (BOTH if number % 2 else OLD).make(apex, algorithm, role, taken)
                taken.add(key.tag)
                await signing_rows.insert_keys(admin, [(zone, key)])
        signer = await connected("zone_signer")
        cursor = await signer.execute(
            """SELECT zones.origin, signing_keys.id::text, signing_keys.algorithm, flags, tag, public, sealed, role,
                      vault
               FROM signing_keys JOIN zones ON zones.id = signing_keys.zone"""
        )
        for origin, *row in await cursor.fetchall():
            kept.setdefault(names.from_order_key(origin), []).append(SealedKey(*row))
        return kept

    kept = wait_for(fill())
    program = Path(f"/proc/{postgres.pid}/exe").resolve().with_name("pg_dump")
    dump = subprocess.run(
        [program, "--inserts", "-d", postgres.dsn("ddns_owner", database)], check=True, capture_output=True
    ).stdout
    return kept, dump


def secrets(origin, key):
    """Return everything that would be the private half, and each number in it."""
    secret = BOTH._under(key)._secret(origin, key)
    found = {"sealed": secret}
    if key.algorithm == 8:
        private = load_der_private_key(secret, None)
        assert isinstance(private, RSAPrivateKey)
        numbers = private.private_numbers()
        for name in ("p", "q", "d", "dmp1", "dmq1", "iqmp"):
            number = getattr(numbers, name)
            found[name] = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return found


def spellings(octets):
    """Yield *octets* as they could stand in some text: raw, turned around, in hexadecimal, base64 or as a number."""
    for some in (octets, octets[::-1]):
        yield some
        yield some.hex().encode()
        yield some.hex().upper().encode()
        yield base64.b64encode(some).rstrip(b"=")[:-1]
        yield base64.urlsafe_b64encode(some).rstrip(b"=")[:-1]
        yield str(int.from_bytes(some, "big")).encode()


def test_no_private_half_and_no_master_key_is_in_the_dump(stolen):
    kept, dump = stolen

    found = [
        (names.to_text(origin), key.tag, what)
        for origin, of_zone in kept.items()
        for key in of_zone
        for what, octets in secrets(origin, key).items()
        for spelling in spellings(octets)
        if spelling in dump
    ]

    assert len(list(itertools.chain(*kept.values()))) == 2 * len(KINDS)
    assert found == []
    assert not any(spelling in dump for master in MASTERS for spelling in spellings(master))


def test_the_search_finds_what_is_in_the_dump(stolen):
    """Else the test before would show nothing."""
    kept, dump = stolen

    for key in itertools.chain(*kept.values()):
        assert any(spelling in dump for spelling in spellings(key.sealed))
        assert any(spelling in dump for spelling in spellings(key.public))


def test_no_row_opens_with_the_private_half_of_another_even_with_the_master_keys(stolen):
    kept, _ = stolen
    everything = [(origin, key) for origin, of_zone in kept.items() for key in of_zone]

    for (origin, key), (other_origin, other) in itertools.permutations(everything, 2):
        for forged in (
            replace(key, sealed=other.sealed),
            replace(key, sealed=other.sealed, public=other.public),
            replace(other, id=key.id),
            replace(other, role=key.role, flags=key.flags) if other.role != key.role else replace(other, tag=key.tag),
        ):
            with pytest.raises(VaultError):
                BOTH.open(origin, forged)
        if origin != other_origin:
            with pytest.raises(VaultError):
                BOTH.open(origin, other)
    for origin, key in everything:
        assert BOTH.open(origin, key).public == key.public


def guesses(kept, dump):
    """Yield keys that somebody could try who has nothing but the dump."""
    for octet in range(256):
        yield bytes([octet]) * 32
        yield bytes((octet + step) % 256 for step in range(32))
    for text in sorted(set(re.findall(rb"[\w.-]{3,64}", dump))):
        yield hashlib.sha256(text).digest()
        yield text.ljust(32, b"\0")[:32]
    for key in itertools.chain(*kept.values()):
        for octets in (key.sealed, key.public):
            yield hashlib.sha256(octets).digest()
            for at in range(0, len(octets) - 31, 1 if len(octets) < 200 else 16):
                yield octets[at : at + 32]


def test_nothing_in_the_database_is_a_key_to_it(stolen):
    kept, dump = stolen
    targets = [
        (key, origin + f"|{key.tag}|{key.algorithm}|{key.id}".encode())
        for origin, of_zone in kept.items()
        for key in of_zone[:2]
    ]
    tried = 0

    for guess in guesses(kept, dump):
        aead = AESGCM(guess)
        for key, bound in targets:
            for more in (b"", b"|2|" + key.role.encode()):
                with pytest.raises(Exception) as caught:  # noqa: PT011 - the name of what is raised is looked at
                    aead.decrypt(key.sealed[9:21], key.sealed[21:], bound + more)
                assert type(caught.value).__name__ == "InvalidTag"
        tried += 1

    assert tried > 1000


def test_the_id_of_a_master_key_tells_nothing_of_it():
    """It is public, stands beside every key, and is not what AES is keyed with."""
    for master in MASTERS:
        ident = Vault(master).master
        assert ident not in (master[:8], hashlib.sha256(master).digest()[:8])
        assert len({Vault(bytes([octet]) * 32).master for octet in range(256)}) == 256


async def test_no_log_and_no_refusal_shows_an_octet_of_a_private_half(stolen, caplog, connected):
    kept, _ = stolen
    caplog.set_level(logging.DEBUG)
    said = []
    ring = KeyRing(BOTH)
    shown = [repr(BOTH), repr(OLD), repr(ring), repr(Signer.__dict__), repr(POLICY)]
    for origin, of_zone in kept.items():
        for key in of_zone:
            shown += [repr(key), repr(BOTH.open(origin, key)), str(key)]
            other = key.public[:-1] + bytes([key.public[-1] ^ 1])
            for changed in (replace(key, tag=key.tag ^ 1), replace(key, public=other)):
                try:
                    BOTH.open(origin, changed)
                except VaultError as error:
                    said.append(f"{error} {error.__cause__} {error.__context__!r} {error.args}")
                    logging.getLogger("zone_signer").warning("signing failed", exc_info=True)
    text = "\n".join([*shown, *said, caplog.text]).encode()

    assert len(said) == 2 * 2 * len(KINDS)
    for origin, of_zone in kept.items():
        for key in of_zone:
            for octets in secrets(origin, key).values():
                assert not any(spelling in text for spelling in spellings(octets))
