"""The files of BIND's tools, `Kname+013+12345.key` and `.private`, as text (private key format 1.3).

Texts in, keys out: whoever reads and writes the files gives the private one the mode 0600.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ddns.auth import keys
from ddns.auth.keys import BadKey, PrivateKey
from ddns.dns import names
from ddns.dns.codes import Algorithm
from ddns.dns.names import BadName, Name
from ddns.dns.records import Rdata

_CURVES = {
    Algorithm.ECDSAP256SHA256: (ec.SECP256R1(), 32),
    Algorithm.ECDSAP384SHA384: (ec.SECP384R1(), 48),
}


def stem(name: Name, rdata: Rdata) -> str:
    """Return the file names of the key in *rdata* without their ends."""
    return f"K{names.to_text(name)}+{rdata[3]:03d}+{keys.key_tag(rdata):05d}"


def public_text(name: Name, rdata: Rdata) -> str:
    """Return the content of a `.key` file: the KEY record of *name*."""
    flags = int.from_bytes(rdata[:2], "big")
    octets = base64.b64encode(rdata[4:]).decode()
    return f"{names.to_text(name)} IN KEY {flags} {rdata[2]} {rdata[3]} {octets}\n"


def read_public(text: str) -> tuple[Name, Rdata]:
    """Return name and RDATA of the KEY record in a `.key` file. Raises `BadKey`."""
    for line in text.splitlines():
        fields = line.partition(";")[0].split()
        if not fields:
            continue
        if "KEY" not in [field.upper() for field in fields[1:4]]:
            raise BadKey("the file holds no KEY record; make one with dnssec-keygen -T KEY -n HOST")
        at = next(index for index in range(1, 4) if fields[index].upper() == "KEY")
        return _name(fields[0]), read_rdata(fields[at + 1 :])
    raise BadKey("the file is empty; make a key with dnssec-keygen -T KEY -n HOST")


def read_rdata(fields: list[str]) -> Rdata:
    """Return the RDATA that the *fields* flags, protocol, algorithm and base64 say. Raises `BadKey`."""
    try:
        flags, protocol, algorithm = (int(field) for field in fields[:3])
        octets = base64.b64decode("".join(fields[3:]), validate=True)
        return flags.to_bytes(2, "big") + bytes((protocol, algorithm)) + octets
    except (ValueError, OverflowError, binascii.Error):
        raise BadKey("a KEY record's data is flags, protocol, algorithm and base64, such as 512 3 13 abc…") from None


def private_text(key: PrivateKey) -> str:
    """Return the content of a `.private` file."""
    algorithm = keys.algorithm_of(key)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        octets = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    else:
        octets = key.private_numbers().private_value.to_bytes(_CURVES[algorithm][1], "big")
    number = base64.b64encode(octets).decode()
    return f"Private-key-format: v1.3\nAlgorithm: {int(algorithm)} ({algorithm.name})\nPrivateKey: {number}\n"


def read_private(text: str) -> PrivateKey:
    """Return the key of a `.private` file. Raises `BadKey`."""
    pairs = (line.partition(":") for line in text.splitlines())
    fields = {field.strip(): value.strip() for field, _, value in pairs}
    if not fields.get("Private-key-format", "").startswith("v1."):
        raise BadKey("the file is no private key of BIND's format v1.3")
    number = fields.get("Algorithm", "").split(maxsplit=1)[0:1]
    try:
        algorithm = Algorithm(int(number[0]))
        octets = base64.b64decode(fields["PrivateKey"], validate=True)
        if algorithm == Algorithm.ED25519:
            return ed25519.Ed25519PrivateKey.from_private_bytes(octets)
        return ec.derive_private_key(int.from_bytes(octets, "big"), _CURVES[algorithm][0])
    except (KeyError, IndexError):
        raise BadKey("the file holds no key of algorithm 13, 14 or 15") from None
    except (ValueError, binascii.Error):
        raise BadKey("the private key is damaged, or of an algorithm other than 13, 14 or 15") from None


def _name(text: str) -> Name:
    try:
        return names.from_text(text)
    except BadName as reason:
        raise BadKey(f"the KEY record has no good name: {reason}") from None
