"""Questions with a cookie and no other option, which is what `dig` and most resolvers with cookies send.

Law: what `answer` gives is octet for octet what `ddns.answer.responder` would give. The question is looked up
without its cookie, and the cookie for the asker is put behind the remembered answer: no parsing here either.
"""

from __future__ import annotations

from collections.abc import Callable

from ddns.answer.cookies import CLIENT_COOKIE, COOKIE, Cookies, Verdict
from ddns.answer.options import first
from ddns.answer.table import _EDNS, OPT, Table
from ddns.dns import wire
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import (
    EDNS_DO,
    FLAG_AA,
    FLAG_TC,
    HEADER_SIZE,
    UDP_MAX_PAYLOAD,
    UDP_MIN_PAYLOAD,
    EdnsOption,
    Rcode,
    Type,
)
from ddns.dns.wire import BadMessage

_OPT = b"\0" + Type.OPT.to_bytes(2, "big")
_FIXED = 9  # octets of an OPT record before its RDLENGTH
_LENGTH = 2  # octets of RDLENGTH
_HEAD = 4  # octets of an option's code and length
_BEGIN = _FIXED + _LENGTH + _HEAD  # octets of an OPT record before its first option's data
_RECORDS = 2048  # ours: bounds the work of looking for a cookie; an update may hold that many records
_CODE = EdnsOption.COOKIE.to_bytes(2, "big")
# What stands between an OPT's TTL and its only option's octets: RDLENGTH, code, length.
_CLIENT = (_HEAD + CLIENT_COOKIE).to_bytes(2, "big") + _CODE + CLIENT_COOKIE.to_bytes(2, "big")
_BOTH = (_HEAD + COOKIE).to_bytes(2, "big") + _CODE + COOKIE.to_bytes(2, "big")
_ADDED = _HEAD + COOKIE  # octets by which our cookie makes an OPT longer
_BEGINS = 4096  # ours: beginnings of OPT records with a cookie that are recognized by their octets, as in the table


class Cookied:
    """Finds cookies in datagrams and answers of *table* for those who send them; *lookup* is the table's or its twin's.

    A `Form` of the table's `beginnings` has our OPT record up to the cookie's octets, and how many octets the question
    without its cookie and the answer's body may have together.
    """

    __slots__ = ("_cookies", "_forms", "_length", "_lookup", "_opt_size", "_table")

    def __init__(self, table: Table, cookies: Cookies, lookup: Callable[[bytes], bytes | None] | None = None) -> None:
        self._table = table
        self._lookup = lookup or table.lookup
        self._cookies = cookies
        self._opt_size = table.opt_size
        self._length = (table.opt_size - len(OPT) + _ADDED).to_bytes(_LENGTH, "big")
        self._forms = table.beginnings

    def asker(self, datagram: bytes, source: str, now: int) -> Asker:
        """Return who sent *datagram* over UDP from *source*, verified where it holds a good cookie."""
        cookie = find(datagram)
        good = cookie != b"" and self._cookies.judge(cookie, source, now) == Verdict.GOOD
        return Asker(Transport.UDP, source, good)

    def answer(self, datagram: bytes, source: str, now: int) -> bytes | None:
        """Return the answer to a question with a cookie where the answer to the question is remembered, else None.

        It is the table's hot path for those whose OPT record holds a cookie and nothing else.
        """
        form = self._forms.get(datagram[-COOKIE - _BEGIN : -COOKIE])
        if form is not None:
            end, cookie = -COOKIE - _BEGIN, datagram[-COOKIE:]
        else:
            form = self._forms.get(datagram[-CLIENT_COOKIE - _BEGIN : -CLIENT_COOKIE])
            if form is None:
                self._learn(datagram)
                return None
            end, cookie = -CLIENT_COOKIE - _BEGIN, datagram[-CLIENT_COOKIE:]
        opening = _EDNS.get(datagram[2:12])
        if opening is None:
            return None
        entry = form[0].get(datagram[12 : end - 4].lower() + datagram[end - 4 : end])
        if entry is None:
            return self._below(datagram, source, now, len(cookie))
        if len(datagram) - len(cookie) + len(entry[1]) > form[2]:
            return None
        known = self._cookies.verified.get(cookie)
        if known is None or known[0] != source or not known[1] <= now <= known[3]:
            cookie = self._cookies.renew(cookie, source, now)
        return b"".join((datagram[:2], opening, entry[0], datagram[12:end], entry[1], form[1], cookie))

    def _below(self, datagram: bytes, source: str, now: int, size: int) -> bytes | None:
        """Return the answer to a question with a cookie of *size* octets that the table does not find by its octets."""
        found = self._lookup(datagram[: -_LENGTH - _HEAD - size] + b"\0\0")
        if found is None:
            return None
        payload = datagram[-size - _BEGIN + 3] << 8 | datagram[-size - _BEGIN + 4]
        if len(found) + _ADDED > min(max(payload, UDP_MIN_PAYLOAD), UDP_MAX_PAYLOAD):
            return None
        at = len(found) - self._opt_size + _FIXED
        cookie = self._cookies.renew(datagram[-size:], source, now)
        return b"".join((found[:at], self._length, found[at + _LENGTH :], _OPEN, cookie))

    def _learn(self, datagram: bytes) -> None:
        """Remember how *datagram*'s OPT record begins where it holds a cookie and nothing else."""
        if datagram[-COOKIE - len(_BOTH) : -COOKIE] == _BOTH:
            begin = datagram[-COOKIE - _BEGIN : -COOKIE]
        elif datagram[-CLIENT_COOKIE - len(_CLIENT) : -CLIENT_COOKIE] == _CLIENT:
            begin = datagram[-CLIENT_COOKIE - _BEGIN : -CLIENT_COOKIE]
        else:
            return
        record = begin[:_FIXED] + bytes(_LENGTH)
        plain = self._table.form(record)
        if plain is None:
            return
        answers, opt, _ = plain
        payload = min(max(begin[3] << 8 | begin[4], UDP_MIN_PAYLOAD), UDP_MAX_PAYLOAD)
        if len(self._forms) >= _BEGINS:
            self._forms.clear()
        ours = opt[:_FIXED] + self._length + opt[_FIXED + _LENGTH :] + _OPEN
        self._forms[begin] = answers, ours, payload - len(opt) - _ADDED + _BEGIN


def find(message: bytes) -> bytes:
    """Return the data of the first COOKIE option of *message*; empty where there is none or it cannot be read."""
    if message[-COOKIE - len(_BOTH) : -COOKIE] == _BOTH and message[-COOKIE - len(_BOTH) - _FIXED :][:3] == _OPT:
        return message[-COOKIE:]
    if _OPT not in message or _CODE not in message:
        return b""
    try:
        header = wire.header(message)
        end = wire.question(message).end if header.qdcount else HEADER_SIZE
        count = header.ancount + header.nscount + header.arcount
        if header.qdcount > 1 or count > _RECORDS:
            return b""
        for record in wire.walk(message, end, count):
            if record.type == Type.OPT:
                return first(wire.edns(message, record), EdnsOption.COOKIE) or b""
    except BadMessage:
        pass
    return b""


def bad_cookie(answer: bytes) -> bytes | None:
    """Return BADCOOKIE with the good cookie of *answer* in the place of *answer*; None where that has no cookie.

    Who asked from its own address comes back with the cookie (RFC 7873 §5.2.3, §5.2.4); for times when those who
    are not verified get less. It is at most 16 octets longer than the question.
    """
    cookie = find(answer)
    if not cookie:
        return None
    at = answer.rfind(_OPT)
    asked = wire.question(answer).end if answer[4:6] != b"\0\0" else HEADER_SIZE
    flags = answer[2] & ~(FLAG_AA | FLAG_TC) >> 8, answer[3] & 0xF0 | Rcode.BADCOOKIE & 15
    options = ((int(EdnsOption.COOKIE), cookie),)
    do = bool(answer[at + 7] & EDNS_DO >> 8)
    tail = wire.opt(UDP_MAX_PAYLOAD, do=do, extended=Rcode.BADCOOKIE >> 4, options=options)
    return b"".join((answer[:2], bytes(flags), answer[4:6], b"\0\0\0\0\0\1", answer[HEADER_SIZE:asked], tail))


_OPEN = _CODE + COOKIE.to_bytes(2, "big")
