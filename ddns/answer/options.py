"""The OPT record of an answer: which EDNS options stand in it, for this asker and this question.

Law: an option is answered only where its RFC says so: a cookie to a cookie (RFC 7873), NSID to NSID (RFC
5001), the idle time to who asks for it over TCP or TLS (RFC 7828), padding to padding where nobody on the
way can read (RFC 7830). Report-Channel alone comes unasked (RFC 9567 §6.1). Options that are not known are
ignored (RFC 6891 §6.1.2).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ddns.answer.cookies import Cookies, Verdict, well_formed
from ddns.answer.image import ZoneImage
from ddns.dns import names, wire
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import MAX_MESSAGE, UDP_MAX_PAYLOAD, EdnsOption
from ddns.dns.names import ROOT, Name
from ddns.dns.wire import Edns

BLOCK = 468  # RFC 8467 §4.1, octets that a padded answer is a multiple of
_CODE = 4  # octets of an option's code and length
_TENTHS = 10  # RFC 7828 §3.1: time-outs are in units of 100 ms
_LONGEST_IDLE = 0xFFFF  # RFC 7828 §3.1, in those units
_KEPT_ALIVE = (Transport.TCP, Transport.TLS)  # RFC 9250 §5.5.2 and RFC 8484 have their own ways

Option = tuple[int, bytes]


class About(msgspec.Struct, frozen=True):
    """What the server says of itself to those who ask; what is empty it does not say.

    *nsid* tells one server of several from another (RFC 5001), *identity* and *version* answer in class CHAOS
    (RFC 4892), *report* is the agent domain for resolvers' reports (RFC 9567), *idle* the seconds after which
    a silent connection is closed.
    """

    nsid: bytes = b""
    identity: str = ""
    version: str = ""
    report: Name = b""
    idle: float = 10.0


class Options:
    """Chooses the options of answers; without *cookies* a COOKIE option is one that is not known."""

    __slots__ = ("_clock", "about", "cookies", "keepalive", "report")

    def __init__(
        self, about: About | None = None, cookies: Cookies | None = None, clock: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.about = about = about or About()
        self.cookies = cookies
        self._clock = clock
        self.keep_alive(int(about.idle * _TENTHS))
        # RFC 9567 §6.1: the root stands for no agent.
        named = about.report not in (b"", ROOT)
        self.report: tuple[Option, ...] = ((EdnsOption.REPORT_CHANNEL, about.report),) if named else ()

    def keep_alive(self, tenths: int) -> None:
        """Tell from now on that an idle connection is kept for so many tenths of a second (RFC 7828 §3.1)."""
        self.keepalive: Option = (EdnsOption.KEEPALIVE, min(tenths, _LONGEST_IDLE).to_bytes(2, "big"))

    def now(self) -> int:
        """Return the time in seconds since 1970."""
        return int(self._clock())

    def fault(self, client: Edns, asker: Asker) -> str:
        """Return what is wrong with the asker's options, as a sentence; empty where nothing is."""
        cookie = first(client, EdnsOption.COOKIE)
        if cookie is not None and self.cookies is not None and not well_formed(cookie):
            return "A cookie has 8 octets, or 16 to 40."
        if asker.transport in _KEPT_ALIVE and first(client, EdnsOption.KEEPALIVE):
            return "An edns-tcp-keepalive option of a question is empty."
        return ""

    def choose(self, client: Edns, asker: Asker) -> tuple[Option, ...]:
        """Return the options that the asker gets with any answer, padding apart."""
        chosen: list[Option] = []
        answered = set()
        for code, octets in client.options:
            if code in answered:
                continue  # RFC 7873 §5.2: the first counts
            answered.add(code)
            if code == EdnsOption.COOKIE and self.cookies is not None and well_formed(octets):
                chosen.append((code, self.cookies.renew(octets, asker.source, self.now())))
            elif code == EdnsOption.NSID and self.about.nsid:
                chosen.append((code, self.about.nsid))
            elif code == EdnsOption.KEEPALIVE and asker.transport in _KEPT_ALIVE:
                chosen.append(self.keepalive)
        return tuple(chosen)

    def verdict(self, client: Edns, asker: Asker) -> Verdict | None:
        """Return what the asker's cookie is worth, None where there is none."""
        cookie = first(client, EdnsOption.COOKIE)
        if cookie is None or self.cookies is None:
            return None
        return self.cookies.judge(cookie, asker.source, self.now())

    def reports(self, images: list[ZoneImage]) -> tuple[Option, ...]:
        """Return the Report-Channel option for an answer out of *images*; none where the agent is in one (§4)."""
        if not self.report or any(names.is_subdomain(self.about.report, image.origin) for image in images):
            return ()
        return self.report


def first(client: Edns, code: int) -> bytes | None:
    """Return the data of the first option *code*, or None."""
    for number, octets in client.options:
        if number == code:
            return octets
    return None


def size(options: tuple[Option, ...]) -> int:
    """Return how many octets *options* take in an OPT record."""
    return sum(_CODE + len(octets) for _, octets in options)


def opt(
    client: Edns, asker: Asker, options: tuple[Option, ...], before: int, extended: int = 0, *, co: bool = False
) -> bytes:
    """Return the OPT record of an answer: *before* octets stand before it, *extended* is the RCODE's upper part.

    It is padded where the asker padded. *co*: it is a compact zone's, for an asker who knows those (RFC 9824 §5.1).
    """
    options += padding(client, asker, options, before)
    return wire.opt(UDP_MAX_PAYLOAD, do=client.do, extended=extended, options=options, co=co)


def padding(client: Edns, asker: Asker, options: tuple[Option, ...], before: int) -> tuple[Option, ...]:
    """Return the option that makes a message a multiple of `BLOCK` octets (RFC 8467 §4.1).

    None where the asker did not pad, or where everybody on the way can read. *options* stand in the OPT record
    already, and *before* octets before that.
    """
    if not asker.transport.encrypted or first(client, EdnsOption.PADDING) is None:
        return ()
    bare = before + _OPT + size(options) + _CODE
    return ((EdnsOption.PADDING, bytes(min(-bare % BLOCK, MAX_MESSAGE - bare))),) if bare <= MAX_MESSAGE else ()


def expire(soa: bytes) -> Option:
    """Return the EXPIRE option of a primary: the field of the SOA RDATA *soa* (RFC 7314 §3.2, §4)."""
    return EdnsOption.EXPIRE, soa[-8:-4]


_OPT = len(wire.opt(UDP_MAX_PAYLOAD, do=False))  # octets of the record without options
