"""The answer to one question, however long it waits for what has to be read or signed first.

Law: a question waits in bounded places only. A datagram for which there is no room is lost, so that it is asked again:
a resolver would remember a failure (RFC 9520 §3.2). Over a stream nobody asks again, so there it is told.
"""

from __future__ import annotations

from collections.abc import Callable

from ddns.answer.compile import NeedZone
from ddns.answer.hot import Answerer
from ddns.answer.online import NeedSigned
from ddns.answer.responder import Responder
from ddns.answer.table import Table
from ddns.delegate.notices import Notices
from ddns.dns import names
from ddns.dns.asker import Asker
from ddns.dns.codes import HEADER_SIZE, Opcode
from ddns.net.denials import Denials, Outcome
from ddns.net.reply import Reply
from ddns.net.subscriber import Subscriber

MOST_TURNS = 32  # times that one question waits for something to be read


class Answering:
    """What answers questions from *table* by *responder*, and has it read and signed what is missing."""

    def __init__(
        self, table: Table, responder: Responder, answerer: Answerer, subscriber: Subscriber, denials: Denials,
        notices: Notices,
    ) -> None:  # fmt: skip
        self._table = table
        self._responder = responder
        self._answerer = answerer
        self._subscriber = subscriber
        self._denials = denials
        self._notices = notices

    def settle(self, wire: bytes, asker: Asker, reply: Reply, serve: Callable[[bytes, Asker, Reply], None]) -> bool:
        """Have *wire* wait for *serve* until it is known which zone it is about, where not all zones are known yet.

        Return whether it waits, or was turned away; where it need not, nothing is done.
        """
        if self._subscriber.register.is_complete:
            return False
        try:
            name = names.read(wire, HEADER_SIZE)[0]
        except names.BadName:
            return False
        if wire[2] & 0x80 or self._subscriber.register.is_settled(name):
            return False

        def settled(done: bool | None) -> None:
            if done:
                serve(wire, asker, reply)
            else:
                reply(self._responder.unavailable(wire, asker, "The zones cannot be read just now; ask again.") or b"")

        if not self._subscriber.settle(name, settled):
            self._turn_away(wire, asker, reply)
        return True

    def answer(self, wire: bytes, reply: Reply, asker: Asker) -> None:
        """Answer *wire* at once, or when what it needs is there."""
        self._answer(wire, reply, asker, 0)

    def _answer(self, wire: bytes, reply: Reply, asker: Asker, turn: int) -> None:
        told = self._notices.answer(wire, asker) if wire[2] >> 3 & 15 == Opcode.NOTIFY else None
        answer = told or self._responder.respond(wire, asker)
        if isinstance(answer, NeedSigned):
            self._have_signed(answer, wire, reply, asker, turn)
            return
        if not isinstance(answer, NeedZone):
            if answer is not None:
                reply(answer)
            elif asker.transport.stream:
                reply(b"")
            return

        def loaded(done: bool | None) -> None:
            # A question may cross several zones (CNAME); each is loaded once, or its parts one after the other.
            known = self._answerer.lookup(wire) if done and self._table.is_plain(wire) else None
            if known is not None:
                reply(known)
            elif done is None:
                self._turn_away(wire, asker, reply)
            elif done and turn < MOST_TURNS:
                self._answer(wire, reply, asker, turn + 1)
            else:
                reply(self._responder.unavailable(wire, asker, "The zone cannot be read just now; ask again.") or b"")

        if not self._subscriber.need(answer.zone_id, loaded, answer.wanted):
            self._turn_away(wire, asker, reply)

    def _have_signed(self, needed: NeedSigned, wire: bytes, reply: Reply, asker: Asker, turn: int) -> None:
        """Have signed what a compact zone says to a question, and answer it then."""

        def settled(outcome: Outcome) -> None:
            if outcome is Outcome.SIGNED and turn < MOST_TURNS:
                self._answer(wire, reply, asker, turn + 1)
            elif outcome is Outcome.BUSY and not (asker.verified or asker.transport.stream):
                # As short as the question, and who really is there comes to where there are tokens of its own.
                reply(self._responder.come_by_tcp(wire, asker))
            else:
                why = Outcome.BUSY if outcome is Outcome.SIGNED else outcome
                reply(self._responder.unavailable(wire, asker, why.value) or b"")

        self._denials.need(needed, asker, settled)

    def _turn_away(self, wire: bytes, asker: Asker, reply: Reply) -> None:
        """Let a datagram be lost for which there is no room to wait; tell who asked over a stream."""
        if asker.transport.stream:
            reply(self._responder.unavailable(wire, asker, "Too many zones are being read; ask again.") or b"")
