"""TSIG (RFC 8945): a message signed with a secret that both sides know.

Checks go in the order of §5.2: key, MAC, time, truncation. `reply` gives every outcome the TSIG that its
answer must carry. The client's side is here too: `sign_request` and `verify_reply`.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable

import msgspec

from ddns.auth import trailer
from ddns.auth.principal import Credential
from ddns.dns import names, twin
from ddns.dns.codes import BADSIG, HEADER_SIZE, Class, Ede, Rcode, Type
from ddns.dns.names import BadName, Name
from ddns.dns.refusal import Refusal

FUDGE = 300  # seconds, RFC 8945 §10
SHORTEST_MAC = 10  # octets, RFC 8945 §5.2.2.1

# RFC 8945 §6: the algorithm's name in credentials, and what `hmac` calls its hash. MD5 is not here.
_HASHES = {
    "hmac-sha1": "sha1",
    "hmac-sha224": "sha224",
    "hmac-sha256": "sha256",
    "hmac-sha384": "sha384",
    "hmac-sha512": "sha512",
}
ALGORITHMS = frozenset(_HASHES)
_SIZES = {algorithm: hashlib.new(name, usedforsecurity=False).digest_size for algorithm, name in _HASHES.items()}
_WIRE = {algorithm: names.from_text(algorithm) for algorithm in _HASHES}
NAMED: dict[Name, str] = {name: algorithm for algorithm, name in _WIRE.items()}
"""Algorithms as they are called in credentials, by the names that they have in messages."""

_FIXED = struct.Struct("!HHIH")
_OWNER = struct.Struct("!HI")  # class and TTL among the signed variables
_TIMES = struct.Struct("!HIHH")  # time signed (48 bits), fudge, MAC size
_TAIL = struct.Struct("!HHH")  # original ID, error, other length
_LAST = struct.Struct("!HIHHH")  # time signed, fudge, error, other length
_ERROR = struct.Struct("!HH")  # error, other length
_COUNT = struct.Struct("!H")
_TIMERS = struct.Struct("!HIH")  # time signed and fudge: all that is signed of a later TSIG (RFC 8945 §5.3.1)
_NAME_VARIABLES = _OWNER.pack(Class.ANY, 0)


class TsigRecord(msgspec.Struct, frozen=True, gc=False):
    """A TSIG as it came, cut off: *message* is what it signs, without it and with the original ID.

    *algorithm* is None where it is unknown here. *time* and *fudge* are in seconds.
    """

    name: Name
    algorithm_name: Name
    algorithm: str | None
    time: int
    fudge: int
    mac: bytes
    original_id: int
    error: int
    other: bytes
    message: bytes
    signed: bytes = b""  # the variables, where they have been made already

    @property
    def expires(self) -> int:
        """Return the last second in which this signature is good."""
        return self.time + self.fudge

    def variables(self) -> bytes:
        """Return the TSIG variables in canonical form (RFC 8945 §4.3.3)."""
        return self.signed or _variables(self.name, self.algorithm_name, self)


class _Stamp(msgspec.Struct, frozen=True, gc=False):
    """What a TSIG that we write says besides its key and its MAC."""

    time: int
    fudge: int
    error: int = 0
    other: bytes = b""


class Policy(msgspec.Struct, frozen=True):
    """What is accepted beyond the plain case: *sha1*, and MACs cut to *shortest_mac* octets (None: whole ones only)."""

    sha1: bool = False
    shortest_mac: int | None = None


STRICT = Policy()


def cut(wire: bytes) -> TsigRecord | Refusal | None:
    """Cut the TSIG off *wire*; None where it has none. A misplaced or malformed one is FORMERR (RFC 8945 §5.1)."""
    found = trailer.find(wire)
    if found is None or isinstance(found, Refusal):
        return found
    return read(wire, found) if found.type == Type.TSIG else None


def read(wire: bytes, at: trailer.Trailer) -> TsigRecord | Refusal:
    """Read the TSIG that `trailer.find` found (RFC 8945 §4.2)."""
    _, rdclass, ttl, _ = _FIXED.unpack_from(wire, at.fixed)
    if rdclass != Class.ANY or ttl:
        return _malformed("its class must be ANY and its TTL 0")
    try:
        name, _ = names.read(wire, at.start)
        algorithm, offset = names.read(wire, at.fixed + _FIXED.size)
        high, low, fudge, size = _TIMES.unpack_from(wire, offset)
        offset += _TIMES.size
        mac = wire[offset : offset + size]
        offset += size
        original_id, error, length = _TAIL.unpack_from(wire, offset)
        offset += _TAIL.size
    except BadName as reason:
        return _malformed(str(reason))
    except struct.error:
        return _malformed("its data is cut short")
    if offset + length != len(wire):
        return _malformed("its lengths and its octets do not match")
    additional = wire[10] << 8 | wire[11]
    message = b"".join(
        (_COUNT.pack(original_id), wire[2:10], _COUNT.pack(additional - 1), wire[HEADER_SIZE : at.start])
    )
    other = wire[offset:]
    return TsigRecord(
        name,
        algorithm,
        NAMED.get(algorithm),
        high << 32 | low,
        fudge,
        mac,
        original_id,
        error,
        other,
        message,
        name + _NAME_VARIABLES + algorithm + _LAST.pack(high, low, fudge, error, length) + other,
    )


def candidate(record: TsigRecord, credentials: Iterable[Credential]) -> Credential | None:
    """Return the one of *credentials* that *record* speaks of, or None."""
    for credential in credentials:
        if credential.kind == "tsig" and credential.name == record.name and credential.algorithm == record.algorithm:
            return credential
    return None


def verify(record: TsigRecord, credential: Credential | None, now: int, policy: Policy = STRICT) -> Refusal | None:
    """Refuse *record* unless *credential* signed its message around *now* (RFC 8945 §5.2)."""
    algorithm = record.algorithm
    if (
        credential is None
        or credential.secret is None
        or algorithm is None
        or credential.algorithm != algorithm
        or (algorithm == "hmac-sha1" and not policy.sha1)
    ):
        return _unknown_key(record)
    size = len(record.mac)
    whole = _SIZES[algorithm]
    if size > whole or size < max(SHORTEST_MAC, whole // 2):
        return _malformed("its MAC has a length that its algorithm does not allow")
    mac = hmac.digest(credential.secret.reveal(), record.message + record.variables(), _HASHES[algorithm])
    if not hmac.compare_digest(mac[:size], record.mac):
        return Refusal(
            "tsig-signature-wrong",
            Rcode.NOTAUTH,
            f"The signature by {names.to_text(record.name)} is wrong; check the key's secret.",
            Ede.PROHIBITED,
            BADSIG,
        )
    if abs(now - record.time) > record.fudge:
        return Refusal(
            "tsig-time-wrong",
            Rcode.NOTAUTH,
            f"The signature by {names.to_text(record.name)} is {abs(now - record.time)} s away from the time here; "
            "set the sender's clock.",
            Ede.PROHIBITED,
            Rcode.BADTIME,
        )
    if size < (whole if policy.shortest_mac is None else min(whole, policy.shortest_mac)):
        return Refusal(
            "tsig-mac-short",
            Rcode.NOTAUTH,
            f"The signature by {names.to_text(record.name)} is truncated; send the whole MAC.",
            Ede.PROHIBITED,
            Rcode.BADTRUNC,
        )
    return None


def digest(record: TsigRecord) -> bytes:
    """Return what names the signed request, however it is sent again: the ID on the wire is not in it."""
    return hashlib.sha256(record.name + record.message + record.variables()).digest()


def reply(
    wire: bytes, record: TsigRecord, credential: Credential | None, now: int, refusal: Refusal | None = None
) -> bytes:
    """Return the reply *wire* with the TSIG that the request's *record* and its *refusal* ask for (RFC 8945 §5.3).

    Key and MAC errors are answered unsigned, time and truncation errors signed; a FORMERR has no TSIG at all.
    """
    error = refusal.error if refusal is not None else 0
    if credential is None or error in (Rcode.BADKEY, BADSIG):
        return unsigned_reply(wire, record, error or Rcode.BADKEY)
    if error == Rcode.BADTIME:
        # The client's own time, so that it can check the MAC, and ours beside it (RFC 8945 §5.2.3).
        stamp = _Stamp(record.time, FUDGE, error, struct.pack("!HI", now >> 32, now & 0xFFFFFFFF))
    else:
        stamp = _Stamp(now, FUDGE, error)
    return _reply(wire, record, credential, stamp)


def sign_reply(wire: bytes, record: TsigRecord, credential: Credential, now: int) -> bytes:
    """Return the reply *wire* signed like the request of *record*, the request's MAC included (RFC 8945 §5.3.1)."""
    return _reply(wire, record, credential, _Stamp(now, FUDGE))


class Stream:
    """Sign the messages of one answer with *credential*, each over the one before it (RFC 8945 §5.3.1).

    *record* is the request's TSIG. *size* is how many octets each signature takes.
    """

    def __init__(self, record: TsigRecord, credential: Credential) -> None:
        self._credential = credential
        self._mac = record.mac
        self._first = True
        algorithm = _WIRE[credential.algorithm]
        rdata = len(algorithm) + _TIMES.size + _SIZES[credential.algorithm] + _TAIL.size
        self.size = len(credential.name) + _FIXED.size + rdata

    def sign(self, wire: bytes, now: int) -> bytes:
        """Return the next message *wire* signed at *now*."""
        credential, stamp = self._credential, _Stamp(now, FUDGE)
        prefix = _COUNT.pack(len(self._mac)) + self._mac
        if self._first:
            self._first = False
            octets, self._mac = _signed(wire, credential, prefix, stamp)
            return octets
        if credential.secret is None:
            raise ValueError(f"the key {names.to_text(credential.name)} has no secret")
        timers = _TIMERS.pack(now >> 32, now & 0xFFFFFFFF, FUDGE)
        self._mac = hmac.digest(credential.secret.reveal(), prefix + wire + timers, _HASHES[credential.algorithm])
        return _append(wire, credential.name, _WIRE[credential.algorithm], self._mac, stamp)


def unsigned_reply(wire: bytes, record: TsigRecord, error: int) -> bytes:
    """Return the reply *wire* with an empty TSIG that names *error* (RFC 8945 §5.3.2)."""
    return _append(wire, record.name, record.algorithm_name, b"", _Stamp(record.time, record.fudge, error))


def sign_request(wire: bytes, credential: Credential, now: int, fudge: int = FUDGE) -> tuple[bytes, bytes]:
    """Return the request *wire* signed with *credential*, and its MAC, which the reply is checked with."""
    return _signed(wire, credential, b"", _Stamp(now, fudge))


def verify_reply(wire: bytes, request_mac: bytes, credential: Credential, now: int) -> Refusal | None:
    """Refuse the reply *wire* unless it is signed with *credential* for the request of *request_mac* (RFC 8945 §5.4).

    The server's own complaint (BADKEY, BADSIG, BADTIME and others) is a refusal too, with its number as *error*.
    """
    record = cut(wire)
    if isinstance(record, Refusal):
        return record
    name = names.to_text(credential.name)
    if record is None:
        return Refusal("reply-unsigned", Rcode.NOTAUTH, f"The reply is not signed with {name}.", error=BADSIG)
    if record.error in (Rcode.BADKEY, BADSIG):
        known = "does not know this key" if record.error == Rcode.BADKEY else "found our signature wrong"
        return Refusal("tsig-refused", Rcode.NOTAUTH, f"The server {known}: {name}.", error=record.error)
    if (
        credential.secret is None
        or record.algorithm is None
        or (record.name, record.algorithm)
        != (
            credential.name,
            credential.algorithm,
        )
    ):
        return _unknown_key(record)
    prefix = _COUNT.pack(len(request_mac)) + request_mac
    mac = hmac.digest(
        credential.secret.reveal(), prefix + record.message + record.variables(), _HASHES[record.algorithm]
    )
    if not hmac.compare_digest(mac, record.mac):
        return Refusal("reply-signature-wrong", Rcode.NOTAUTH, f"The reply is not signed by {name}.", error=BADSIG)
    if record.error == Rcode.BADTIME:
        theirs = int.from_bytes(record.other[:6], "big")
        return Refusal(
            "tsig-refused",
            Rcode.NOTAUTH,
            f"The server's clock says {theirs}, ours {now} (seconds since 1970); set the clock that is wrong.",
            error=Rcode.BADTIME,
        )
    if record.error:
        return Refusal(
            "tsig-refused", Rcode.NOTAUTH, f"The server refused our signature by {name}.", error=record.error
        )
    if abs(now - record.time) > record.fudge:
        return Refusal(
            "reply-time-wrong",
            Rcode.NOTAUTH,
            f"The reply was signed {abs(now - record.time)} s away from our time; set the clock.",
            error=Rcode.BADTIME,
        )
    return None


def _reply(wire: bytes, record: TsigRecord, credential: Credential, stamp: _Stamp) -> bytes:
    return _signed(wire, credential, _COUNT.pack(len(record.mac)) + record.mac, stamp)[0]


def _signed(wire: bytes, credential: Credential, prefix: bytes, stamp: _Stamp) -> tuple[bytes, bytes]:
    """Return *wire* signed, and the MAC; *prefix* is what goes before the message (RFC 8945 §4.3)."""
    if credential.secret is None:
        raise ValueError(f"the key {names.to_text(credential.name)} has no secret")
    algorithm = _WIRE[credential.algorithm]
    signed = _octets(prefix, wire, credential.name, algorithm, stamp)
    mac = hmac.digest(credential.secret.reveal(), signed, _HASHES[credential.algorithm])
    return _append(wire, credential.name, algorithm, mac, stamp), mac


def _octets(prefix: bytes, wire: bytes, name: Name, algorithm: Name, stamp: _Stamp) -> bytes:
    """Return what is signed of *wire* (RFC 8945 §4.3.3)."""
    return twin.tsig_signed(
        prefix, wire, name, algorithm, stamp.time, stamp.fudge, stamp.error, stamp.other
    ) or prefix + wire + _variables(name, algorithm, stamp)


def _variables(name: Name, algorithm: Name, stamp: _Stamp | TsigRecord) -> bytes:
    time, other = stamp.time, stamp.other
    tail = _LAST.pack(time >> 32, time & 0xFFFFFFFF, stamp.fudge, stamp.error, len(other))
    return name + _NAME_VARIABLES + algorithm + tail + other


def _append(wire: bytes, name: Name, algorithm: Name, mac: bytes, stamp: _Stamp) -> bytes:
    """Return *wire* with a TSIG record behind it (RFC 8945 §4.2)."""
    return twin.tsig_put(
        mac, wire, name, algorithm, stamp.time, stamp.fudge, stamp.error, stamp.other
    ) or _append_slowly(wire, name, algorithm, mac, stamp)


def _append_slowly(wire: bytes, name: Name, algorithm: Name, mac: bytes, stamp: _Stamp) -> bytes:
    time, other = stamp.time, stamp.other
    length = len(algorithm) + _TIMES.size + len(mac) + _TAIL.size + len(other)
    return b"".join(
        (
            wire[:10],
            _COUNT.pack((wire[10] << 8 | wire[11]) + 1),
            wire[HEADER_SIZE:],
            name,
            _FIXED.pack(Type.TSIG, Class.ANY, 0, length),
            algorithm,
            _TIMES.pack(time >> 32, time & 0xFFFFFFFF, stamp.fudge, len(mac)),
            mac,
            wire[:2],
            _ERROR.pack(stamp.error, len(other)),
            other,
        )
    )


def _malformed(reason: str) -> Refusal:
    return Refusal("tsig-malformed", Rcode.FORMERR, f"The message's TSIG is malformed: {reason}.")


def _unknown_key(record: TsigRecord) -> Refusal:
    known = record.algorithm or names.to_text(record.algorithm_name)
    return Refusal(
        "tsig-key-unknown",
        Rcode.NOTAUTH,
        f"No key {names.to_text(record.name)} with {known} is accepted here; check its name and algorithm.",
        Ede.PROHIBITED,
        Rcode.BADKEY,
    )
