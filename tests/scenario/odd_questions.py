"""Questions that no well-behaved client asks: every type and class, every header bit, EDNS in all its shapes.

Each is a line of a table: an id, the octets, and the ids of docs/reference/differences.md by which peers may differ.
"""

import struct
from dataclasses import dataclass

import messages

ZONE = "plain.test."
ADDRESS = messages.record("a.test.", 1, 1, 0, b"\1\2\3\4")
NAMES = {
    "apex": "plain.test.",
    "host": "www.plain.test.",
    "missing": "nothing.plain.test.",
    "cut": "x.cut.plain.test.",
    "wild": "any.wild.plain.test.",
    "outside": "elsewhere.invalid.",
}
META = {0: "type0", 41: "opt", 128: "nxname", 200: "type200", 249: "tkey", 250: "tsig", 253: "mailb", 254: "maila"}
PLAIN_TYPES = (
    *(1, 2, 5, 6, 12, 15, 16, 24, 25, 28, 33, 39, 43, 44, 46, 47, 48, 50, 51, 52, 59, 64, 65, 99),
    *(256, 257, 32768, 32769, 65279, 65280, 65534, 65535),
)
CLASSES = {0: "class0", 2: "cs", 3: "ch", 4: "hs", 254: "none", 255: "any", 4711: "class4711"}
FLAGS = {0x400: "aa", 0x200: "tc", 0x100: "rd", 0x80: "ra", 0x40: "z", 0x20: "ad", 0x10: "cd"}
COUNTS = ((0, 0, 0, 0), (2, 0, 0, 0), (1, 1, 0, 0), (1, 0, 1, 0), (1, 0, 0, 1), (65535, 0, 0, 0), (1, 0, 0, 65535))
OPCODES = (1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)


@dataclass(frozen=True)
class Odd:
    """One message: *differs* says by which ids a peer may answer otherwise."""

    id: str
    wire: bytes
    differs: tuple = ()


def ask(name="host", rdtype=1, rdclass=1, *, flags=0, counts=(1, 0, 0, 0), extra=b"", before=b""):
    """Return a question; *before* stands behind it and before the additional records *extra*."""
    return struct.pack("!6H", 4711, flags, *counts) + messages.question(NAMES[name], rdtype, rdclass) + before + extra


def opt(size=1232, ttl=0, data=b"", owner=b"\0"):
    """Return an OPT record."""
    return owner + struct.pack("!HHIH", 41, size, ttl, len(data)) + data


def edns(name="host", rdtype=1, *, flags=0, size=1232, ttl=0, data=b"", owner=b"\0"):
    """Return a question with an OPT record."""
    return ask(name, rdtype, flags=flags, counts=(1, 0, 0, 1), extra=opt(size, ttl, data, owner))


def types():
    for name in NAMES:
        for rdtype in PLAIN_TYPES:
            yield Odd(f"type{rdtype}-{name}", ask(name, rdtype))
        for rdtype, word in META.items():
            yield Odd(f"meta-{word}-{name}", ask(name, rdtype), ("answer-meta-types",))


def classes():
    for name in ("host", "missing", "outside"):
        for rdclass, word in CLASSES.items():
            yield Odd(f"{word}-{name}", ask(name, 1, rdclass), ("answer-other-classes",))


def headers():
    for bit in range(16):
        flag = 1 << bit
        if flag == 0x8000 or flag & 0x7800:
            continue  # an answer, or another opcode
        word = FLAGS.get(flag, f"rcode{flag}")
        yield Odd(f"flag-{word}", ask(flags=flag), ("answer-header-bits",))
        yield Odd(f"flag-{word}-missing", ask("missing", flags=flag), ("answer-header-bits",))
    for opcode in OPCODES:
        yield Odd(f"opcode-{opcode}", ask(flags=opcode << 11), ("answer-opcodes",))
    for counts in COUNTS:
        yield Odd("counts-" + "-".join(map(str, counts)), ask(counts=counts), ("answer-counts",))
    twice = messages.question(NAMES["host"], 1)
    yield Odd("two-questions", ask(counts=(2, 0, 0, 0), before=twice), ("answer-counts",))
    yield Odd("an-answer-in-a-question", ask(counts=(1, 1, 0, 0), before=ADDRESS), ("answer-counts",))
    yield Odd("an-authority-in-a-question", ask(counts=(1, 0, 1, 0), before=ADDRESS), ("answer-counts",))
    yield Odd("an-address-in-additional", ask(counts=(1, 0, 0, 1), extra=ADDRESS), ("answer-counts",))
    yield Odd("octets-behind", ask(extra=b"\0\1\2"), ("answer-octets-behind",))
    yield Odd("octets-behind-edns", edns() + b"\0", ("answer-octets-behind",))


def broken_names():
    header = struct.pack("!6H", 4711, 0, 1, 0, 0, 0)
    tail = struct.pack("!HH", 1, 1)
    for word, name in {
        "pointer-to-itself": b"\xc0\x0c",
        "pointer-into-the-header": b"\xc0\x00",
        "pointer-forward": b"\xc0\xff",
        "label-type-01": b"\x41a\0",
        "label-type-10": b"\x81a\0",
        "label-over-the-end": b"\x3fa",
        "name-of-256-octets": (b"\x3f" + b"a" * 63) * 4 + b"\0",
        "no-end": b"\3www",
    }.items():
        yield Odd(f"name-{word}", header + name + tail, ("answer-broken-names",))
    yield Odd("name-of-255-octets", header + (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"b" * 61 + b"\0" + tail)
    whole = ask()
    for size in range(12, len(whole)):
        yield Odd(f"cut-at-{size}", whole[:size], ("answer-broken-names",))


def options():
    for name in ("host", "missing", "cut", "outside"):
        for size in (0, 511, 512, 1232, 65535):
            yield Odd(f"edns-size-{size}-{name}", edns(name, size=size))
        for ttl, word in {0x8000: "do", 0x4000: "co", 0x7FFF: "z", 0xFF000000: "rcode"}.items():
            yield Odd(f"edns-{word}-{name}", edns(name, ttl=ttl))
        for version in (1, 2, 255):
            yield Odd(f"edns-version-{version}-{name}", edns(name, ttl=version << 16))
    for word, data in {
        "unknown": b"\xfd\xe9\0\2ab",
        "unknown-empty": b"\xfd\xe9\0\0",
        "two": b"\xfd\xe9\0\0\xfd\xea\0\0",
        "half": b"\0\3",
        "too-long": b"\0\3\0\5a",
        "padding": b"\0\x0c\0\4\0\0\0\0",
        "expire": b"\0\x09\0\0",
        "nsid": b"\0\3\0\0",
        "cookie-of-7": b"\0\x0a\0\7abcdefg",
        "cookie-of-8": b"\0\x0a\0\x08abcdefgh",
        "cookie-of-15": b"\0\x0a\0\x0fabcdefghijklmno",
        "cookie-of-41": b"\0\x0a\0\x29" + b"a" * 41,
        "client-subnet": b"\0\x08\0\7\0\1\x18\0\xc0\0\2",
        "client-subnet-malformed": b"\0\x08\0\2\0\1",
    }.items():
        yield Odd(f"option-{word}", edns(data=data), ("answer-options",))
    yield Odd("opt-twice", ask(counts=(1, 0, 0, 2), extra=opt() + opt()), ("answer-opt",))
    yield Odd("opt-not-the-roots", edns(owner=b"\1a\0"), ("answer-opt",))
    yield Odd("opt-in-answer", ask(counts=(1, 1, 0, 0), extra=opt()), ("answer-opt",))
    yield Odd("opt-in-authority", ask(counts=(1, 0, 1, 0), extra=opt()), ("answer-opt",))
    yield Odd("opt-after-an-address", ask(counts=(1, 0, 0, 2), extra=ADDRESS + opt()), ("answer-opt",))


def table():
    """Return all of them; each has an id of its own."""
    found = [*types(), *classes(), *headers(), *broken_names(), *options()]
    assert len({odd.id for odd in found}) == len(found)
    return found
