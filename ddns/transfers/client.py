"""Who asked for a transfer: how the answers are made, signed and sent, and how one is refused."""

from __future__ import annotations

from collections.abc import Callable

from ddns.answer.options import Options, expire, first
from ddns.auth import tsig
from ddns.auth.principal import Credential
from ddns.auth.tsig import TsigRecord
from ddns.dns import wire
from ddns.dns.asker import Asker
from ddns.dns.codes import UDP_MAX_PAYLOAD, EdnsOption
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.dns.refusal import Refusal
from ddns.net.reply import Reply, StreamReply
from ddns.transfers.request import Asked


class Client:
    """One question for a transfer: *octets* as it came, *asked* what it says, *signature* its TSIG by *credential*.

    *begun* tells whether something has been sent; *key* is the name of the key that signed.
    """

    def __init__(
        self,
        octets: bytes,
        asked: Asked,
        asker: Asker,
        reply: Reply,
        signature: TsigRecord | None,
        credential: Credential | None,
        options: Options,
        clock: Callable[[], float],
    ) -> None:
        self.octets = octets
        self.asked = asked
        self.source = asker.source
        self._from = asker
        self._options = options
        self.reply = reply
        self.key: Name | None = None if credential is None else credential.name
        self.begun = False
        self._clock = clock
        self._stream: tsig.Stream | None = None
        if signature is not None and credential is not None:
            self._stream = tsig.Stream(signature, credential)

    def options(self) -> tuple[tuple[int, bytes], ...]:
        """Return the EDNS options that the asker gets with any answer."""
        client = self.asked.client
        return () if client is None else self._options.choose(client, self._from)

    @property
    def reserved(self) -> int:
        """Return how many octets of each message its signature takes."""
        return 0 if self._stream is None else self._stream.size

    def sign(self, octets: bytes) -> bytes:
        """Return the next message with its signature, if the question had one."""
        return octets if self._stream is None else self._stream.sign(octets, int(self._clock()))

    def refuse(self, refusal: Refusal) -> None:
        """Answer with *refusal* and nothing else; where the transfer has begun, break it off."""
        if self.begun:
            if isinstance(self.reply, StreamReply):
                self.reply.abort()
            return
        options = (*self.options(), wire.ede(refusal.ede, refusal.extra_text))
        answer = wire.error_reply(
            self.octets, refusal.rcode, client=self.asked.client, options=options, end=self.asked.end
        )
        self.reply(self.sign(answer))

    def opt(self, soa: Rdata) -> bytes:
        """Return the OPT of the first answer, with how long the zone is good for those who ask (RFC 7314 §3.3)."""
        client = self.asked.client
        if client is None:
            return b""
        options = self.options()
        if first(client, EdnsOption.EXPIRE) is not None:
            options += (expire(soa),)
        return wire.opt(UDP_MAX_PAYLOAD, do=client.do, options=options)
