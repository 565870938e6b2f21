"""EDNS: the options of an OPT record, cookies judged and made, and the OPT record of an answer."""

import struct

from ddns.answer.cookies import COOKIE, Cookies, Verdict, well_formed
from ddns.answer.options import About, Options, opt
from ddns.dns import names, wire
from ddns.dns.asker import Asker, Transport
from ddns.dns.wire import BadMessage, Edns

BOUND = 20_000  # calls: an option costs a few, and 4096 octets hold a thousand of them
NOW = 1_700_000_000
COOKIES = Cookies(b"secret of sixteen")
OPTIONS = Options(About(nsid=b"one", report=names.from_text("agent.example.")), COOKIES, lambda: NOW)
ASKERS = [Asker(transport, "2001:db8::7") for transport in Transport]


def seeds():
    client = b"8 octets"
    server = COOKIES.renew(client, "2001:db8::7", NOW)
    options = [
        [(10, client)], [(10, server)], [(3, b"")], [(11, b"")], [(12, bytes(20))], [(10, client), (3, b""), (12, b"")],
        [(2, bytes(8))], [(65001, b"x" * 40)], [(10, b"short")], [(9, b"")],
    ]  # fmt: skip
    heads = [struct.pack("!BHI", transport, 1232, 0x8000) for transport in range(len(ASKERS))]
    return [
        heads[index % len(heads)] + b"".join(struct.pack("!HH", code, len(data)) + data for code, data in some)
        for index, some in enumerate(options)
    ]


def work(octets):
    """Read seven octets as transport, size and TTL, the rest as the data of an OPT record."""
    transport, size, ttl = struct.unpack("!BHI", octets[:7].ljust(7, b"\0"))
    data = octets[7:]
    asker = ASKERS[transport % len(ASKERS)]
    record = wire.Record(0, names.ROOT, 41, size, ttl, 0, len(data))
    try:
        client = wire.edns(data, record)
    except BadMessage:
        return None, None, None, None, asker
    fault = OPTIONS.fault(client, asker)
    made = opt(client, asker, OPTIONS.choose(client, asker), 100)
    return client, OPTIONS.verdict(client, asker), made, fault, asker


def judge(octets, outcome):
    client, verdict, made, fault, asker = outcome
    expected = read(octets[7:])
    if client is None:
        assert expected is None
        return
    assert isinstance(client, Edns)
    assert list(client.options) == expected
    assert client.payload >= 512
    answered = read(made[11:])
    assert made[:3] == b"\0\0\x29"
    assert struct.unpack_from("!H", made, 9)[0] == len(made) - 11
    assert len({code for code, _ in answered}) == len(answered)
    cookie = next((data for code, data in client.options if code == 10), None)
    assert (verdict is None) is (cookie is None)
    if cookie is None:
        assert 10 not in dict(answered)
        return
    assert (verdict == Verdict.MALFORMED) is not well_formed(cookie)
    if verdict == Verdict.MALFORMED:
        assert fault
        return
    given = dict(answered)[10]
    assert len(given) == COOKIE
    assert given[:8] == cookie[:8]
    assert COOKIES.judge(given, asker.source, NOW) == Verdict.GOOD
    assert COOKIES.judge(given, "192.0.2.1", NOW) == Verdict.BAD
    assert COOKIES.judge(given, asker.source, NOW + 7201) == Verdict.BAD


def read(data):
    """Return options as RFC 6891 §6.1.2 lays them out, None where they do not fit."""
    out, at = [], 0
    while at < len(data):
        if len(data) - at < 4:
            return None
        code, length = struct.unpack_from("!HH", data, at)
        if len(data) - at - 4 < length:
            return None
        out.append((code, data[at + 4 : at + 4 + length]))
        at += 4 + length
    return out
