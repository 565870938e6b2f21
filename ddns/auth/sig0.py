"""SIG(0) (RFC 2931): a message signed with the private half of a KEY that is enrolled here.

The order is: `cut`, `candidates` by signer, tag and algorithm, `in_time`, then, rationed, `verify`, the one
costly step. No key is ever looked up in the DNS. The client's side is `sign_request`.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

import msgspec
from cryptography.exceptions import InvalidSignature

from ddns.auth import keys, trailer
from ddns.auth.keys import BadKey, PrivateKey
from ddns.auth.principal import Credential
from ddns.dns import names
from ddns.dns.codes import BADSIG, HEADER_SIZE, Class, Ede, Rcode, Type
from ddns.dns.names import BadName, Name
from ddns.dns.records import Rdata
from ddns.dns.refusal import Refusal

MAX_CANDIDATES = 2  # keys tried for one message, as BIND does after CVE-2024-1975
WINDOW = 300  # seconds before and after now that a client signs for, as nsupdate does

_FIXED = struct.Struct("!HHIH")
_SIG = struct.Struct("!HBBIIIH")  # RFC 2535 §4.1: covered, algorithm, labels, original TTL, expiration, inception, tag
_COUNT = struct.Struct("!H")


class Sig0Record(msgspec.Struct, frozen=True, gc=False):
    """A SIG(0) as it came, cut off: *message* is what it signs besides *head*, its own RDATA up to the signature.

    In *head* the signer is uncompressed and in lower case (RFC 2931 §3.1); *head_as_sent* has the sender's
    spelling where that differs. *expiration* and *inception* are serial numbers of seconds.
    """

    signer: Name
    algorithm: int
    tag: int
    expiration: int
    inception: int
    head: bytes
    head_as_sent: bytes
    signature: bytes
    message: bytes

    def expires(self, now: int) -> int:
        """Return the last second in which this signature is good, as seen from *now*."""
        return now + _signed_difference(self.expiration, now)


class Policy(msgspec.Struct, frozen=True):
    """How long a signature's window may be: *width*, in seconds.

    A message is remembered until its window ends, so that it is not done twice. nsupdate signs for 600 s;
    the default leaves room for clients that sign for an hour (decision 12).
    """

    width: int = 3900


DEFAULT = Policy()


def cut(wire: bytes) -> Sig0Record | Refusal | None:
    """Cut the SIG(0) off *wire*; None where it has none. A misplaced or malformed one is FORMERR (RFC 2931 §3)."""
    found = trailer.find(wire)
    if found is None or isinstance(found, Refusal):
        return found
    return read(wire, found) if found.type == Type.SIG else None


def read(wire: bytes, at: trailer.Trailer) -> Sig0Record | Refusal:
    """Read the SIG(0) that `trailer.find` found; its owner and TTL mean nothing (RFC 2931 §3)."""
    _, rdclass, _, length = _FIXED.unpack_from(wire, at.fixed)
    if rdclass not in (Class.ANY, Class.IN):
        return _malformed("its class must be ANY")
    begin = at.fixed + _FIXED.size
    if length <= _SIG.size:
        return _malformed("its data is cut short")
    _, algorithm, labels, ttl, expiration, inception, tag = _SIG.unpack_from(wire, begin)
    if labels or ttl:
        return _malformed("its labels and original TTL must be 0")
    try:
        signer, end = names.read(wire, begin + _SIG.size)
    except BadName as reason:
        return _malformed(str(reason))
    if end >= len(wire):
        return _malformed("it holds no signature")
    head = wire[begin : begin + _SIG.size] + signer
    as_sent = wire[begin:end]
    additional = wire[10] << 8 | wire[11]
    message = b"".join((wire[:10], _COUNT.pack(additional - 1), wire[HEADER_SIZE : at.start]))
    return Sig0Record(
        signer,
        algorithm,
        tag,
        expiration,
        inception,
        head,
        as_sent if len(as_sent) == len(head) else head,
        wire[end:],
        message,
    )


def candidates(record: Sig0Record, credentials: Iterable[Credential]) -> tuple[Credential, ...]:
    """Return those of *credentials* that may have made *record*, two at most: signer, tag and algorithm are theirs."""
    algorithm = str(record.algorithm)
    found = [
        credential
        for credential in credentials
        if credential.kind == "sig0"
        and credential.tag == record.tag
        and credential.algorithm == algorithm
        and credential.name == record.signer
    ]
    return tuple(found[:MAX_CANDIDATES])


def unknown_key(record: Sig0Record) -> Refusal:
    """Return the refusal of a message whose key is not enrolled."""
    return Refusal(
        "sig0-key-unknown",
        Rcode.NOTAUTH,
        f"No key {names.to_text(record.signer)} with tag {record.tag} and algorithm {record.algorithm} "
        "is enrolled here; enrol it first.",
        Ede.PROHIBITED,
        Rcode.BADKEY,
    )


def in_time(record: Sig0Record, now: int, policy: Policy = DEFAULT) -> Refusal | None:
    """Refuse *record* unless *now* is in its window (RFC 2931 §3.3, RFC 1982 arithmetic) and the window is short."""
    early = _signed_difference(now, record.inception)
    late = _signed_difference(now, record.expiration)
    if early >= 0 >= late and early - late <= policy.width:
        return None
    name = names.to_text(record.signer)
    if early < 0 or late > 0:
        off = f"starts in {-early} s" if early < 0 else f"ended {late} s ago"
        return Refusal(
            "sig0-time-wrong",
            Rcode.NOTAUTH,
            f"The window of the signature by {name} {off}; set the sender's clock.",
            Ede.PROHIBITED,
            Rcode.BADTIME,
        )
    return Refusal(
        "sig0-window-wide",
        Rcode.NOTAUTH,
        f"The signature by {name} is good for {early - late} s, {policy.width} s are allowed; sign for less.",
        Ede.PROHIBITED,
        Rcode.BADTIME,
    )


def verify(record: Sig0Record, tried: Iterable[Credential]) -> Credential | Refusal:
    """Return the one of *tried* (see `candidates`) whose key made *record*, or a refusal.

    This is the costly step: at most two verifications, safe in any thread.
    """
    heads = (record.head,) if record.head == record.head_as_sent else (record.head_as_sent, record.head)
    pairs = [(credential, head) for credential in tried for head in heads]
    for credential, head in pairs[:MAX_CANDIDATES]:
        try:
            keys.verify(credential.public, record.signature, head + record.message)
        except (InvalidSignature, BadKey):
            continue
        return credential
    return Refusal(
        "sig0-signature-wrong",
        Rcode.NOTAUTH,
        f"The signature by {names.to_text(record.signer)} is wrong; sign with the private half of the enrolled key.",
        Ede.PROHIBITED,
        BADSIG,
    )


def digest(record: Sig0Record) -> bytes:
    """Return what names the signed request, however it is sent again; the signature, which varies, is not in it."""
    return hashlib.sha256(record.head + record.message).digest()


def sign_request(
    wire: bytes, key: PrivateKey, signer: Name, now: int, *, flags: int = keys.FLAGS_HOST, window: int = WINDOW
) -> bytes:
    """Return the request *wire* signed by *signer*'s *key*, good from *now* - *window* to *now* + *window* seconds.

    *flags* are those of the enrolled KEY record: the tag depends on them.
    """
    return _signed(wire, b"", key, signer, now, flags, window)


def sign_reply(wire: bytes, request: bytes, key: PrivateKey, signer: Name, now: int, *, window: int = WINDOW) -> bytes:
    """Return the reply *wire* to *request*, a whole signed message, signed by *signer*'s *key* (RFC 2931 §3.1).

    The request's octets are signed along, so that nobody can give an old answer to a new question.
    """
    return _signed(wire, request, key, signer, now, keys.FLAGS_HOST, window)


def verify_reply(wire: bytes, request: bytes, public: Rdata, signer: Name, now: int) -> Refusal | None:
    """Refuse the reply *wire* unless the KEY *public* of *signer* signed it for *request* around *now*."""
    record = cut(wire)
    if isinstance(record, Refusal):
        return record
    name = names.to_text(signer)
    if record is None or (record.signer, record.tag, record.algorithm) != (signer, keys.key_tag(public), public[3]):
        return Refusal("reply-unsigned", Rcode.NOTAUTH, f"The reply is not signed with {name}.", error=BADSIG)
    try:
        keys.verify(public, record.signature, record.head + request + record.message)
    except (InvalidSignature, BadKey):
        return Refusal("reply-signature-wrong", Rcode.NOTAUTH, f"The reply is not signed by {name}.", error=BADSIG)
    return in_time(record, now)


def _signed(wire: bytes, before: bytes, key: PrivateKey, signer: Name, now: int, flags: int, window: int) -> bytes:
    """Return *wire* with a SIG(0) over *before* and itself."""
    public = keys.key_rdata(key, flags)
    head = (
        _SIG.pack(0, public[3], 0, 0, (now + window) & 0xFFFFFFFF, (now - window) & 0xFFFFFFFF, keys.key_tag(public))
        + signer
    )
    rdata = head + keys.sign(key, head + before + wire)
    return b"".join(
        (
            wire[:10],
            _COUNT.pack((wire[10] << 8 | wire[11]) + 1),
            wire[HEADER_SIZE:],
            names.ROOT,
            _FIXED.pack(Type.SIG, Class.ANY, 0, len(rdata)),
            rdata,
        )
    )


def _signed_difference(one: int, other: int) -> int:
    """Return *one* - *other* as RFC 1982 §3.2 compares them: from -2**31 to 2**31 - 1."""
    return ((one - other + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def _malformed(reason: str) -> Refusal:
    return Refusal("sig0-malformed", Rcode.FORMERR, f"The message's SIG(0) is malformed: {reason}.")
