"""Names: from messages and from text, as dnspython reads them; back and forth without loss."""

import dns.exception
import dns.name

from ddns.dns import names
from ddns.dns.names import BadName

BOUND = 3_000  # calls: 127 labels, each a few times


def seeds():
    wires = [b"\3www\7example\0", b"\1a\xc0\0", b"\0", b"\x01*\3a.b\2\0\xff\0", b"\x3f" + b"a" * 63 + b"\0"]
    texts = ["www.example.", "a\\.b.c", "\\000\\255.", "@", "*.a", "x" * 63 + ".", "a..b", "\\1", "é."]
    long = b"\x3f" + b"a" * 63
    return [
        *(bytes((0, offset)) + wire for wire in wires for offset in (0, 2)),
        *(b"\1\0" + text.encode() for text in texts),
        b"\0\0" + long * 3 + b"\x3d" + b"b" * 61 + b"\0",
        b"\0\0" + long * 3 + b"\x3e" + b"b" * 62 + b"\0",
    ]


def work(octets):
    """Read the first octet as what to do, the second as an offset, the rest as a message or as text."""
    how, offset, rest = octets[:1] or b"\0", octets[1:2] or b"\0", octets[2:]
    try:
        if how[0] & 1:
            return names.from_text(rest.decode("utf-8", "surrogateescape"), names.ROOT), None
        return names.read(rest, offset[0])
    except BadName as error:
        return error, None


def judge(octets, outcome):
    name, end = outcome
    how, offset, rest = octets[:1] or b"\0", octets[1:2] or b"\0", octets[2:]
    if how[0] & 1:
        expected = text_by_dnspython(rest)
        if expected is not None:
            assert not isinstance(name, BadName)
            assert name == expected
    else:
        expected = wire_by_dnspython(rest, offset[0])
        assert isinstance(name, BadName) is (expected is None), (name, expected)
        if expected is not None:
            assert (name, end) == expected
    if isinstance(name, BadName):
        assert str(name)
        return
    check(name)


def check(name):
    assert len(name) <= 255
    assert name == name.lower()
    assert names.from_text(names.to_text(name)) == name
    assert names.from_order_key(names.order_key(name)) == name
    labels = names.labels(name)
    assert len(labels) == names.count_labels(name) == len(names.suffixes(name)) - 1
    assert all(names.is_subdomain(name, above) for above in names.suffixes(name))
    theirs = dns.name.from_wire(name, 0)[0]
    assert dns.name.from_text(names.to_text(name)) == theirs


def wire_by_dnspython(octets, offset):
    """Return the name and the offset behind it, None where dnspython refuses."""
    if offset > len(octets):
        return None
    try:
        name, size = dns.name.from_wire(octets, offset)
    except (dns.exception.DNSException, IndexError):
        return None
    if hops(octets, offset) > 64:
        return None  # ours bounds them
    return name.to_digestable(), offset + size


def hops(octets, at):
    """Return how many pointers a name of *octets* follows."""
    count = 0
    while octets[at]:
        if octets[at] >= 0xC0:
            at = (octets[at] & 0x3F) << 8 | octets[at + 1]
            count += 1
        else:
            at += 1 + octets[at]
    return count


def text_by_dnspython(octets):
    """Return the name where dnspython reads *octets* and both mean the same by them."""
    try:
        text = octets.decode("ascii")
        if text in ("", "@"):
            return None
        return dns.name.from_text(text).to_digestable()
    except (dns.exception.DNSException, UnicodeError, ValueError, IndexError):
        return None
