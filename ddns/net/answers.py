"""The reply to an update, as octets still to be signed: its zone section echoed, its refusal explained.

Law: who sent an OPT hears why (RFC 8914), also where the message was refused before it was read whole.
Nothing here knows what is in a zone.
"""

from __future__ import annotations

import msgspec

from ddns.answer.options import Option, Options, padding
from ddns.dns import wire as wires
from ddns.dns.asker import Asker
from ddns.dns.codes import HEADER_SIZE, Rcode, Type
from ddns.dns.names import ROOT
from ddns.dns.refusal import Refusal, extra_text
from ddns.dns.wire import BadMessage, Edns
from ddns.zone import dane_option
from ddns.zone.request import UPDATE_LEASE
from ddns.zone.update import Update

_OPT_BEGINS = b"\0" + Type.OPT.to_bytes(2, "big")  # no message without these octets has an OPT


class Answer(msgspec.Struct, frozen=True):
    """What to answer: an RCODE, and an extended error and its sentence where there is one.

    *lease* holds the octets of the Update Lease option (RFC 9664 §4), where one was granted; *dane* those of the
    option that says where TLSA records stand.
    """

    rcode: int
    ede: int = 0
    text: str = ""
    code: str = ""
    lease: bytes = b""
    dane: bytes = b""

    @classmethod
    def of(cls, refusal: Refusal) -> Answer:
        """Return the answer that a refusal asks for."""
        return cls(refusal.rcode, refusal.ede, refusal.text, refusal.code)

    @property
    def extra_text(self) -> str:
        """Return what the extended error says; to a repeated request it is what was said the first time."""
        return extra_text(self.text, self.code)


def answered(
    wire: bytes,
    answer: Answer,
    update: Update | None = None,
    options: Options | None = None,
    asker: Asker | None = None,
) -> bytes:
    """Return the unsigned reply to *wire*: the zone section echoed where it could be read (RFC 2136 §3.8).

    *options* chooses what EDNS options *asker* gets besides, such as its cookie.
    """
    if update is not None:
        client, end = update.edns, update.zone_end
    else:
        client, end = sender(wire)
    chosen: tuple[Option, ...] = ()
    if client is not None:
        if options is not None and asker is not None and client.options:
            chosen = options.choose(client, asker)
        if answer.text:
            chosen += (wires.ede(answer.ede, answer.extra_text),)
        if answer.lease:
            chosen += ((UPDATE_LEASE, answer.lease),)
        if answer.dane:
            chosen += ((dane_option.OPTION, answer.dane),)
        if asker is not None:
            chosen += padding(client, asker, chosen, end)
    return wires.error_reply(wire, Rcode(answer.rcode), client=client, options=chosen, end=end)


def sig0_refused(
    wire: bytes,
    refusal: Refusal,
    update: Update | None,
    options: Options | None = None,
    asker: Asker | None = None,
) -> bytes:
    """Return the reply to a SIG(0) that is not accepted.

    RFC 2931 names no error codes; those of TSIG stand in the extended RCODE where the asker sent an OPT, as the
    drafts on delegation by UPDATE have it, and NOTAUTH where not.
    """
    answer = Answer.of(refusal)
    client = update.edns if update is not None else sender(wire)[0]
    if refusal.error and client is not None:
        answer = Answer(refusal.error, answer.ede, answer.text, answer.code)
    return answered(wire, answer, update, options, asker)


def sender(wire: bytes) -> tuple[Edns | None, int]:
    """Return the OPT of whoever sent *wire*, and the offset behind its question or zone section, 12 for none.

    As far as they can be read: a message that is malformed further on has them all the same.
    """
    client, end = None, HEADER_SIZE
    try:
        head = wires.header(wire)
        if head.qdcount == 1:
            end = wires.question(wire).end
            if _OPT_BEGINS in wire:
                count = head.ancount + head.nscount + head.arcount
                found = (one for one in wires.walk(wire, end, count) if one.type == Type.OPT and one.name == ROOT)
                for record in found:
                    return wires.edns(wire, record), end
    except BadMessage:
        pass
    return client, end
