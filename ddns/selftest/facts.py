"""What the octets of a transcript say, read once: signed wishes, signed updates, and the lives of keys."""

from __future__ import annotations

from binascii import a2b_base64
from functools import cached_property

from ddns.auth import sig0, tsig
from ddns.auth.principal import Credential, Secret
from ddns.auth.sig0 import Sig0Record
from ddns.auth.tsig import TsigRecord
from ddns.dns import names, wire
from ddns.dns.codes import Opcode
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.dns.wire import BadMessage
from ddns.proof import csr, jwk, jws, statements, voucher
from ddns.proof.bad import BadProof
from ddns.proof.csr import Csr
from ddns.proof.jwk import PublicJwk
from ddns.proof.jws import Signed
from ddns.proof.statements import AnyStatement, Enrol, RollKey
from ddns.proof.voucher import Request
from ddns.proof.voucher import Signed as VoucherSigned
from ddns.selftest.transcript import Exchange, Gained, Handed, Handshake, Invited, Message, Transcript
from ddns.zone import request
from ddns.zone.request import Update

ENROL = "/v1/enrol"
STATEMENTS = "/v1/statements"
VOUCHER = "/.well-known/brski/requestvoucher"
VOUCHER_STATUS = "/.well-known/brski/voucher_status"
ENROL_STATUS = "/.well-known/brski/enrollstatus"
ATTRIBUTES = "/.well-known/est/csrattrs"
CACERTS = "/.well-known/est/cacerts"
SIMPLEENROLL = "/.well-known/est/simpleenroll"
STANDING = "/v1/enrolment"
_DONE = (200, 201)


class Wish:
    """A statement that the box posted, or handed to its owner's phone; *why* says what is wrong with its form."""

    def __init__(self, event: Exchange | Handed) -> None:
        self.event = event
        self.signed: Signed | None = None
        self.said: AnyStatement | None = None
        self.why = ""
        try:
            self.signed = jws.read(event.body)
            self.said = statements.read(self.signed)
        except BadProof as error:
            self.why = error.sentence

    @property
    def keys(self) -> tuple[PublicJwk, ...]:
        """Return the keys that sign, the box's own first; those alone whose signature verifies."""
        signed = self.signed
        if signed is None:
            return ()
        shown = [(place, one.key) for place, one in enumerate(signed.signatures) if one.key is not None]
        return tuple(key for place, key in shown if jws.verify(signed, place, key))

    @property
    def done(self) -> bool:
        """Tell whether the registry did it."""
        return self.event.status in _DONE


class Asking:
    """A request for a voucher; *why* says what is wrong with its form."""

    def __init__(self, event: Exchange) -> None:
        self.event = event
        self.said: Request | None = None
        self.signed: VoucherSigned | None = None
        self.why = ""
        try:
            self.said, self.signed = voucher.read_request(event.body, media_of(event))
        except BadProof as error:
            self.why = error.sentence


class Certifying:
    """A request for a certificate by EST; *why* says what is wrong with it."""

    def __init__(self, event: Exchange) -> None:
        self.event = event
        self.said: Csr | None = None
        self.why = ""
        try:
            self.said = csr.read(a2b_base64(event.body))
        except BadProof as error:
            self.why = error.sentence
        except ValueError:
            self.why = "It is not base64."


def media_of(event: Exchange) -> str:
    """Return the media type of a request, without its parameters."""
    return event.headers.get("content-type", "").partition(";")[0].strip().lower()


class Sent:
    """A message that the box sent by DNS: its signature, and the update that it holds, if it is one."""

    def __init__(self, event: Message) -> None:
        self.event = event
        self.sig0: Sig0Record | None = None
        self.tsig: TsigRecord | None = None
        self.update: Update | None = None
        self.question: tuple[Name, int] | None = None
        try:
            self.opcode = wire.header(event.octets).opcode
            asked = wire.question(event.octets)
            self.question = (asked.name, asked.type)
        except (BadMessage, ValueError):
            self.opcode = -1
            return
        signature, mac = sig0.cut(event.octets), tsig.cut(event.octets)
        self.sig0 = signature if isinstance(signature, Sig0Record) else None
        self.tsig = mac if isinstance(mac, TsigRecord) else None
        if self.opcode == Opcode.UPDATE:
            cut = self.sig0 or self.tsig
            read = request.parse(event.octets if cut is None else cut.message)
            self.update = None if isinstance(read, Refusal) else read

    @property
    def rcode(self) -> int | None:
        """Return how the registry answered, None: not at all."""
        return self.event.answer[3] & 15 if len(self.event.answer) > 3 else None

    @property
    def writes(self) -> bool:
        """Tell whether it is an update that changes something."""
        return self.update is not None and bool(self.update.writes)

    def is_by(self, key: PublicJwk) -> bool:
        """Tell whether *key* made its SIG(0)."""
        one = self.sig0
        if one is None:
            return False
        credential = Credential(
            0, one.signer, "sig0", str(one.algorithm), tag=one.tag, public=jwk.to_key_rdata(key)
        )  # fmt: skip
        return isinstance(sig0.verify(one, (credential,)), Credential)

    def is_of(self, invited: Invited) -> bool:
        """Tell whether the key of an invitation made its TSIG."""
        one = self.tsig
        if one is None or one.name != invited.key or one.algorithm is None:
            return False
        credential = Credential(0, invited.key, "tsig", one.algorithm, secret=Secret(invited.secret))
        return tsig.verify(one, credential, one.time) is None  # a box without a clock signs for 1970


class Life:
    """The time for which a *key* spoke for *home*: from *since* until the next one took its place, at *until*."""

    def __init__(self, key: PublicJwk, home: str, since: float, how: str) -> None:
        self.key, self.home, self.since, self.how = key, home, since, how
        self.until = float("inf")


class Facts:
    """A transcript, read."""

    def __init__(self, transcript: Transcript) -> None:
        self.given = transcript.given
        self.events = transcript.events

    @cached_property
    def handshakes(self) -> list[Handshake]:
        """Return the connections to the desk."""
        return [one for one in self.events if isinstance(one, Handshake)]

    @cached_property
    def exchanges(self) -> list[Exchange]:
        """Return the requests to the desk."""
        return [one for one in self.events if isinstance(one, Exchange)]

    @cached_property
    def wishes(self) -> list[Wish]:
        """Return the statements, posted or handed over."""
        return [
            Wish(one)
            for one in self.events
            if isinstance(one, Handed)
            or (isinstance(one, Exchange) and one.method == "POST" and one.path in (ENROL, STATEMENTS))
        ]

    @cached_property
    def enrolments(self) -> list[Wish]:
        """Return the wishes for a home."""
        return [one for one in self.wishes if isinstance(one.said, Enrol)]

    @cached_property
    def rolls(self) -> list[Wish]:
        """Return the wishes to put the next key in the place of the one that speaks for a home."""
        return [one for one in self.wishes if isinstance(one.said, RollKey)]

    @cached_property
    def askings(self) -> list[Asking]:
        """Return the requests for a voucher."""
        return [Asking(one) for one in self.exchanges if one.path == VOUCHER and one.method == "POST"]

    @cached_property
    def certifyings(self) -> list[Certifying]:
        """Return the requests for a first certificate."""
        return [Certifying(one) for one in self.exchanges if one.path == SIMPLEENROLL and one.method == "POST"]

    @cached_property
    def begun(self) -> list[tuple[float, str, tuple[PublicJwk, ...]]]:
        """Return what gave a box a key, in time: when, by which act, and the keys that signed; each once."""
        kept = [one for one in self.wishes if one.done and one.keys]
        first = {one.signed.digest: one for one in reversed(kept) if one.signed is not None}
        found = [(one.event.until, one.said.act, one.keys) for one in first.values() if one.said is not None]
        gained = [one for one in self.events if isinstance(one, Gained)]
        found += [(one.until, "enrol", (jwk.from_key_rdata(one.key),)) for one in gained]
        return sorted(found, key=lambda one: one[0])

    @cached_property
    def sent(self) -> list[Sent]:
        """Return the messages by DNS, in the order in which they came."""
        return sorted((Sent(one) for one in self.events if isinstance(one, Message)), key=lambda one: one.event.at)

    @cached_property
    def updates(self) -> list[Sent]:
        """Return the updates that change something."""
        return [one for one in self.sent if one.writes]

    @cached_property
    def probes(self) -> list[Sent]:
        """Return the updates that change nothing, signed by a SIG(0)."""
        return [one for one in self.sent if one.update is not None and not one.writes and one.sig0 is not None]

    @cached_property
    def lives(self) -> list[Life]:
        """Return the keys that the registry took, each with its time."""
        found: list[Life] = []
        for event in self.events:
            if isinstance(event, Gained):
                key = jwk.from_key_rdata(event.key)
                if not any(one.key == key for one in found):
                    found.append(Life(key, event.home, event.until, "enrol"))
        for wish in self.wishes:
            if not wish.done or wish.said is None or not wish.keys:
                continue
            since, act, keys = wish.event.until, wish.said.act, wish.keys
            if act in ("roll-key", "replace"):
                for one in found:
                    if one.home == wish.said.sub:
                        one.until = min(one.until, since)
                next_one = keys[1] if act == "roll-key" and len(keys) > 1 else keys[0]
                found.append(Life(next_one, wish.said.sub, since, act))
            elif isinstance(wish.said, Enrol) and not any(one.key == keys[0] for one in found):
                told = wish.event.home if isinstance(wish.event, Handed) else ""
                found.append(Life(keys[0], told or self.home_of(wish.said.label), since, act))
        return found

    def home_of(self, label: str) -> str:
        """Return the full name of the home that *label* asks for, where it was invited; else *label* itself."""
        for one in self.given.invited:
            full = names.to_text(one.home)
            if label.rstrip(".").lower() in (full.rstrip("."), full.split(".")[0]):
                return full
        return label

    def by(self, sent: Sent) -> Life | None:
        """Return the life of the key that signed *sent*; None: it is no key that the registry took."""
        return next((one for one in self.lives if sent.is_by(one.key)), None)
