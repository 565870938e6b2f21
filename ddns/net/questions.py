"""Questions signed with TSIG (RFC 8945): checked, answered like any other, and the answer signed with the same key.

`nsupdate` signs the SOA question with which it looks for the zone of an update, and believes only a signed answer.
The key gives no rights here: what a question gets is public.
"""

from __future__ import annotations

from collections.abc import Callable

from ddns.auth import trailer, tsig
from ddns.auth.principal import Credential
from ddns.auth.tsig import TsigRecord
from ddns.dns import wire as wires
from ddns.dns.asker import Asker
from ddns.dns.codes import FLAG_TC, HEADER_SIZE, UDP_MAX_PAYLOAD, UDP_MIN_PAYLOAD, Class, Ede, Rcode, Type
from ddns.dns.refusal import Refusal
from ddns.dns.wire import BadMessage
from ddns.net.answers import Answer as Refused
from ddns.net.answers import answered
from ddns.net.keyring import Keyring
from ddns.net.reply import Reply

Answer = Callable[[bytes, Reply, Asker], None]

# A TSIG's type and class stand in every message that has one; most have none, and this finds out at once.
_MARK = Type.TSIG.to_bytes(2, "big") + Class.ANY.to_bytes(2, "big")

_AWAY = Refusal(
    "database-away",
    Rcode.SERVFAIL,
    "The key of this question cannot be looked up just now; ask again in a moment.",
    Ede.NOT_READY,
)
_BUSY = Refusal(
    "server-busy", Rcode.SERVFAIL, "Too many keys are being looked up here; ask again in a moment.", Ede.NOT_READY
)


class SignedQuestions:
    """The way of a signed question: *answer* answers the bare one, given it, how to reply, and who asks."""

    def __init__(self, keyring: Keyring, answer: Answer, policy: tsig.Policy, clock: Callable[[], float]) -> None:
        self._keyring = keyring
        self._answer = answer
        self._policy = policy
        self._clock = clock

    def take(self, wire: bytes, asker: Asker, reply: Reply) -> bool:
        """Take *wire* where it is signed with TSIG, and reply once, now or soon; else return False."""
        if _MARK not in wire:
            return False
        found = trailer.find(wire)
        if not isinstance(found, trailer.Trailer) or found.type != Type.TSIG:
            return False
        record = tsig.read(wire, found)
        if isinstance(record, Refusal):
            reply(answered(wire, Refused.of(record)))
            return True

        def known(credentials: tuple[Credential, ...] | None) -> None:
            if credentials is None:
                reply(answered(wire, Refused.of(_AWAY)))
            else:
                self._verify(wire, record, tsig.candidate(record, credentials), asker, reply)

        if not self._keyring.find(record.name, known):
            reply(answered(wire, Refused.of(_BUSY)))
        return True

    def _verify(
        self, wire: bytes, record: TsigRecord, credential: Credential | None, asker: Asker, reply: Reply
    ) -> None:
        now = int(self._clock())
        refusal = tsig.verify(record, credential, now, self._policy)
        if refusal is not None or credential is None:
            assert refusal is not None
            answer = answered(wire, Refused.of(refusal))
            reply(answer if refusal.rcode == Rcode.FORMERR else tsig.reply(answer, record, credential, now, refusal))
            return
        limit = 0 if asker.transport.stream else _room(record.message)

        def signed(octets: bytes) -> None:
            if not octets:
                reply(octets)
                return
            octets = wire[:2] + octets[2:]
            out = tsig.sign_reply(octets, record, credential, int(self._clock()))
            if limit and len(out) > limit:
                out = tsig.sign_reply(_truncated(octets), record, credential, int(self._clock()))
            reply(out)

        self._answer(record.message, signed, asker)


def _truncated(octets: bytes) -> bytes:
    """Return the answer *octets* without its records and with TC, so that the asker comes back by TCP."""
    end = wires.question(octets).end
    flags = octets[2] | FLAG_TC >> 8
    return octets[:2] + bytes((flags, octets[3])) + b"\0\1\0\0\0\0\0\0" + octets[HEADER_SIZE:end]


def _room(message: bytes) -> int:
    """Return how many octets the sender of *message* takes over UDP (RFC 6891 §6.2.3)."""
    try:
        header = wires.header(message)
        at = wires.question(message).end
        for record in wires.walk(message, at, header.ancount + header.nscount + header.arcount):
            if record.type == Type.OPT:
                return min(max(record.rdclass, UDP_MIN_PAYLOAD), UDP_MAX_PAYLOAD)
    except BadMessage:
        pass
    return UDP_MIN_PAYLOAD
