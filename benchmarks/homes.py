"""The benchmark's homes: names, addresses, keys and records of home *number*, all derived from the number.

Law: nothing here is random, so that whoever makes the zones, whoever asks and whoever updates need no common list. The
keys' private halves are public in this way; serve them nowhere but on loopback.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ORIGIN = "homes.example."
TSIG_NAME = "bench-key."
TSIG_SECRET = base64.b64encode(hashlib.sha256(b"bench tsig secret").digest()).decode()
TTL = 300  # seconds, of every record of a home
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256's group
KEY_HEAD = bytes((2, 0, 3, 13))  # RFC 2535 §3.1: flags 512, protocol 3, algorithm 13


def label(number: int) -> str:
    return f"h{number:06d}"


def ipv4(number: int, generation: int = 0) -> str:
    """Return the home's IPv4 address; each *generation* is another one."""
    mixed = (number * 2654435761 + generation * 40503) & 0xFFFFFF
    return f"10.{mixed >> 16}.{mixed >> 8 & 255}.{mixed & 255}"


def ipv6(number: int, generation: int = 0, host: int = 1) -> str:
    return f"2001:db8:{number & 0xFFFF:x}:{number >> 16:x}::{generation & 0xFFFF:x}:{host:x}"


def private_key(number: int) -> ec.EllipticCurvePrivateKey:
    digest = hashlib.sha256(b"home key %d" % number).digest()
    return ec.derive_private_key(int.from_bytes(digest, "big") % (ORDER - 1) + 1, ec.SECP256R1())


def key_rdata(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the KEY record's data of *key*'s public half (RFC 6605 §4: x and y)."""
    return KEY_HEAD + key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def key_text(number: int) -> str:
    return "512 3 13 " + base64.b64encode(key_rdata(private_key(number))[4:]).decode()


def pin(number: int) -> str:
    """Return the TLSA record's digest of the home's camera."""
    return f"{number * 7919 + 1:064x}"


def questions(number: int, origin: str = ORIGIN) -> tuple[str, ...]:
    """Return all questions that have an answer at a home, as lines of a query file of dnsperf."""
    home = f"{label(number)}.{origin.rstrip('.')}"
    return (f"{home} A", f"{home} AAAA", f"cam.{home} AAAA", f"_443._tcp.cam.{home} TLSA")


def records(number: int) -> str:
    """Return the home's records as master-file text relative to the home, without its KEY."""
    return (
        f"@ {TTL} A {ipv4(number)}\n"
        f"@ {TTL} AAAA {ipv6(number)}\n"
        f"cam {TTL} AAAA {ipv6(number, host=2)}\n"
        f"_443._tcp.cam {TTL} TLSA 3 1 1 {pin(number)}\n"
    )
