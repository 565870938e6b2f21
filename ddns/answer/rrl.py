"""Response rate limiting: a sender that lies about its address must not turn this server against somebody else.

Answers over UDP are counted by the network that they go to and by what they say, as in BIND, Knot and NSD:
those with data by name and type; those without (NXDOMAIN, no data, referrals) by the zone; errors together. What
is over its rate is not sent, except that every *slip*-th time a truncated answer goes out, no longer than
its question: an honest resolver then comes by TCP, whose address is proved, and a victim gets nothing worth
sending. An asker that shows a DNS cookie of ours has proved its address too and is not limited (RFC 7873 §6);
one that sent a cookie without ours, or a bad one, slips through with BADCOOKIE and a good one instead.

Two stages keep it off the hot path: `cells` counts the answers to a network within a second, and only a
network that is over the least of the rates, or was within the last *window* seconds, has accounts. Both
are bounded; networks that find no room share cells, so that a flood of invented addresses cannot switch
the limit off. Times are in seconds of one clock.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

import msgspec

from ddns.answer.cookied import bad_cookie
from ddns.answer.cookies import COOKIE, Cookies, Verdict
from ddns.answer.counters import DROPPED, SLIPPED, Counters
from ddns.dns import wire as wires
from ddns.dns.codes import FLAG_TC, HEADER_SIZE, EdnsOption, Opcode, Rcode, Type
from ddns.dns.wire import BadMessage

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_UNLIMITED = 1 << 60  # answers in a second to whom is exempt
_TC = FLAG_TC >> 8
_SPARE = 1024  # cells that networks share for which there is no room
_OPEN = EdnsOption.COOKIE.to_bytes(2, "big") + COOKIE.to_bytes(2, "big")
_IPV4_OCTET = 8  # bits
_OPT = b"\0" + Type.OPT.to_bytes(2, "big")
_PLAIN_OPT = 11  # octets of an OPT record without options


class RrlLimits(msgspec.Struct, frozen=True):
    """Answers a second to one network of one kind: with data or without, *errors*, and of *every* kind together.

    *answers* 0 switches all of it off, *errors* or *every* 0 only these. *window* (seconds) is how long a
    network that went on too fast has to be quiet; *slip* is as in BIND; *table* bounds networks and accounts.
    """

    answers: int = 200
    errors: int = 100
    every: int = 1000
    window: int = 5
    slip: int = 2
    ipv4_prefix: int = 24
    ipv6_prefix: int = 56
    exempt: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    table: int = 100_000


class _Account:
    """How many answers may still go: *balance* at the time *then*; *over* counts those that may not."""

    __slots__ = ("balance", "over", "then")

    def __init__(self, balance: float, then: float) -> None:
        self.balance = balance
        self.then = then
        self.over = 0


class Rrl:
    """The accounts of one worker.

    The hot path is `cells.get(host) or enter(host)`, one less in the cell's only item, and `judge` where that
    is below zero. `turn` comes first wherever the time is not between `since` and `until`. The native twin finds
    the same cells in `packed`, by the octets of an address, or by `admit`. What `judge` lets out or not it counts.
    """

    __slots__ = (
        "_accounts",
        "_exempt",
        "_exempt_begins",
        "_free",
        "_limits",
        "_networks",
        "_spare",
        "_start",
        "_watched",
        "cells",
        "cookies",
        "counters",
        "dropped",
        "last",
        "limited",
        "packed",
        "said",
        "since",
        "slipped",
        "until",
    )

    def __init__(self, limits: RrlLimits, cookies: Cookies | None = None, counters: Counters | None = None) -> None:
        self._limits = limits
        self.cookies = cookies
        self.counters = counters or Counters()
        exempt = [ipaddress.ip_network(one, strict=False) for one in limits.exempt]
        # Networks that end between two octets of IPv4 are recognized by how an address begins, others by parsing it.
        plain = [one for one in exempt if one.version == 4 and one.prefixlen in (8, 16, 24)]
        self._exempt_begins = tuple(
            ".".join(str(one).split(".")[: one.prefixlen // _IPV4_OCTET]) + "." for one in plain
        )
        self._exempt: dict[int, list[Network]] = {
            version: [one for one in exempt if one.version == version and one not in plain] for version in (4, 6)
        }
        self._start = min(rate for rate in (limits.answers, limits.errors, limits.every) if rate or not limits.answers)
        self._free = [_UNLIMITED]
        self.limited = limits.answers > 0
        self.cells: dict[str, list[int]] = {}
        self.packed: dict[bytes, list[int]] = {}
        self._networks: dict[str, list[int]] = {}
        self._spare: dict[int, list[int]] = {}
        self._watched: OrderedDict[str, float] = OrderedDict()
        self._accounts: OrderedDict[tuple[str, bytes], _Account] = OrderedDict()
        self.since = self.until = self.said = 0.0
        self.dropped = self.slipped = 0
        self.last = ""

    def turn(self, now: float) -> None:
        """Begin a new second at *now*; a clock that was set back begins one too."""
        self.since, self.until = now, now + 1
        self.cells.clear()
        self.packed.clear()
        self._networks.clear()
        self._spare.clear()

    def enter(self, host: str) -> list[int]:
        """Return the cell in which the answers to *host* count in this second."""
        limits = self._limits
        if not limits.answers:
            return self._free
        network, exempt = self._network(host)
        if exempt:
            cell = self._free
        else:
            found = self._networks.get(network)
            if found is None:
                start = 0 if self._watched.get(network, 0.0) > self.since else self._start
                if len(self._networks) >= limits.table:
                    return self._spare.setdefault(hash(network) % _SPARE, [start])
                found = self._networks[network] = [start]
            cell = found
        if len(self.cells) < limits.table:
            self.cells[host] = cell
        return cell

    def admit(self, octets: bytes, host: str) -> list[int]:
        """Return the cell of *host*, whose address is *octets*, and let it be found by these in this second."""
        cell = self.cells.get(host) or self.enter(host)
        if len(self.packed) < self._limits.table:
            self.packed[octets] = cell
        return cell

    def judge(self, request: bytes, answer: bytes, host: str, now: float) -> bytes | None:
        """Return what may be sent to *host* for *request*: *answer*, a truncated one, or None; and count that.

        It costs a few microseconds, so it is asked only once a cell is below zero.
        """
        sent = self._judge(request, answer, host, now)
        if sent is None:
            self.counters.numbers[DROPPED] += 1
        else:
            self.counters.count(sent)
            if sent is not answer:
                self.counters.numbers[SLIPPED] += 1
        return sent

    def _judge(self, request: bytes, answer: bytes, host: str, now: float) -> bytes | None:
        if request[2] >> 3 & 15 == Opcode.UPDATE:
            if not answer[3] & 15:
                return answer  # only who signed well gets this, and not faster than it is committed
            if len(answer) <= HEADER_SIZE and answer[2] & _TC:
                return answer  # no longer than what came, and all that this would make of it
        if self.cookies is not None:
            shown = cookie(request)
            if shown and self.cookies.judge(shown, host, int(now)) == Verdict.GOOD:
                return answer
        limits = self._limits
        network, _ = self._network(host)
        self._watch(network, now)
        kind = _kind(answer)
        rate = limits.answers if kind else limits.errors
        taken = self._take(network, kind, rate, now) if rate else None
        whole = self._take(network, b"*", limits.every, now) if limits.every else None
        over = taken if taken is not None and taken.balance < 0 else whole
        if over is None or over.balance >= 0:
            return answer
        over.over += 1
        self.last = network
        if limits.slip and over.over % limits.slip == 0:
            self.slipped += 1
            asked = not request[2] >> 3 & 15
            return (asked and bad_cookie(answer)) or truncated(request, answer)
        self.dropped += 1
        return None

    def __len__(self) -> int:
        """Return the number of all that is remembered, at most five times the table and `_SPARE`."""
        kept = len(self.cells) + len(self.packed) + len(self._networks) + len(self._spare)
        return kept + len(self._watched) + len(self._accounts)

    def _take(self, network: str, kind: bytes, rate: int, now: float) -> _Account:
        """Take one answer from an account: it fills at *rate* up to that, and owes *window* times as much at most."""
        account = self._accounts.get((network, kind))
        if account is None:
            if len(self._accounts) >= self._limits.table:
                self._accounts.popitem(last=False)
            account = self._accounts[network, kind] = _Account(float(rate), now)
        else:
            self._accounts.move_to_end((network, kind))
        balance = min(float(rate), account.balance + max(0.0, now - account.then) * rate) - 1
        account.balance = max(balance, -float(self._limits.window * rate))
        account.then = now
        return account

    def _watch(self, network: str, now: float) -> None:
        if network not in self._watched and len(self._watched) >= self._limits.table:
            self._watched.popitem(last=False)
        self._watched[network] = now + self._limits.window
        self._watched.move_to_end(network)

    def _network(self, host: str) -> tuple[str, bool]:
        """Return the network of *host* as text, and whether it is exempt."""
        limits = self._limits
        if limits.ipv4_prefix == 3 * _IPV4_OCTET and ":" not in host:
            return host[: host.rindex(".")], self._is_exempt(host, 4)
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        if mapped is not None:
            address = mapped
        length = limits.ipv4_prefix if address.version == 4 else limits.ipv6_prefix
        return f"{int(address) >> (address.max_prefixlen - length):x}/{address.version}", self._is_exempt(
            str(address), address.version
        )

    def _is_exempt(self, host: str, version: int) -> bool:
        if host.startswith(self._exempt_begins):
            return True
        others = self._exempt[version]
        return bool(others) and any(ipaddress.ip_address(host) in one for one in others)


def cookie(request: bytes) -> bytes:
    """Return what may be the client's and server's cookie in *request*; empty where there is none (RFC 7873 §4).

    Its octets are looked for without parsing: only who has been given a cookie can write a good one, wherever.
    """
    at = request.find(_OPEN, HEADER_SIZE)
    return b"" if at < 0 else request[at + len(_OPEN) : at + len(_OPEN) + COOKIE]


def truncated(request: bytes, answer: bytes) -> bytes:
    """Return *answer* without its records and with TC: its question, RCODE and a plain OPT where there was one.

    It is never longer than *request*.
    """
    end = _question_end(answer)
    tail = b""
    if answer[10:12] != b"\0\0" and _OPT in request[end:] and end + _PLAIN_OPT <= len(request):
        at = answer.rfind(_OPT)
        if at >= end:
            tail = answer[at : at + _PLAIN_OPT - 2] + b"\0\0"
    counts = answer[4:6] + b"\0\0\0\0" + (b"\0\1" if tail else b"\0\0")
    return b"".join((answer[:2], bytes((answer[2] | _TC, answer[3])), counts, answer[HEADER_SIZE:end], tail))


def _question_end(answer: bytes) -> int:
    if answer[4:6] == b"\0\0":
        return HEADER_SIZE
    try:
        return wires.question(answer).end
    except BadMessage:
        return HEADER_SIZE


def _kind(answer: bytes) -> bytes:
    """Return which account of a network *answer* counts in: empty for errors, else name and type, or the zone."""
    rcode = answer[3] & 15
    if rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN) or answer[2] >> 3 & 15 or answer[4:6] == b"\0\0":
        return b""
    try:
        question = wires.question(answer)
        if answer[6:8] != b"\0\0":
            return question.name + question.type.to_bytes(2, "big")
        # The first of the authority section is the SOA or the NS of the zone that has nothing (more) to say.
        for record in wires.walk(answer, question.end, min(1, answer[8] << 8 | answer[9])):
            return b"-" + record.name
    except BadMessage:
        return b""
    return b"-"


assert len(wires.opt(0, do=False)) == _PLAIN_OPT
