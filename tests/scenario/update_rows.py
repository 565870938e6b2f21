"""The rows of the RFC 2136 tables: those of `tests/vectors/updates.toml`, and products of all that may be wrong.

A row is text; `Row.wire` makes its octets with nothing but the helpers of `messages.py`, so that what no client would
send can be said too.
"""

import itertools
import struct
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import messages

TABLE = Path(__file__).parents[1] / "vectors" / "updates.toml"
SHARED = "rows.example."
SOA = "ns1.elsewhere.test. admin.elsewhere.test. {} 7200 3600 1209600 300"
SERIAL = 10
CLASSES = {"IN": 1, "CH": 3, "HS": 4, "NONE": 254, "ANY": 255}


@dataclass(frozen=True)
class Row:
    """One case: the message in words, and what ours must make of it."""

    id: str
    rfc: str
    code: str
    change: bool
    start: tuple = ()
    needs: tuple = ()
    does: tuple = ()
    more: tuple = ()
    zone: tuple | None = None
    flags: int = messages.UPDATE
    counts: tuple | None = None
    tail: bytes = b""
    serial: int = SERIAL
    signed: bool = False
    differs: tuple = ()  # ids of docs/reference/differences.md
    spare: tuple = ()  # peers that are not sent this row, because it ends them
    extra: tuple = field(default=())  # sections' octets: prerequisites, operations; behind those in words

    @property
    def alone(self):
        """Tell whether the row needs a zone of its own."""
        words = " ".join((*self.start, *self.needs, *self.does)).split()
        return self.signed or "@" in words or self.serial != SERIAL

    @property
    def origin(self):
        return f"{self.id}.example." if self.alone else SHARED

    @property
    def here(self):
        """Return the name below which everything of this row is."""
        return self.origin if self.alone else f"{self.id}.{SHARED}"

    def lines(self):
        """Return what is there before, as lines of a master file."""
        here = dns.name.from_text(self.here)
        for text in self.start:
            owner, ttl, rdtype, data = text.split(" ", 3)
            if data.startswith("\\#"):
                yield f"{dns.name.from_text(owner, here)} {ttl} {rdtype} {data}"
                continue
            rdata = dns.rdata.from_text("IN", rdtype, data, origin=here, relativize=False)
            yield f"{dns.name.from_text(owner, here)} {ttl} {rdtype} {rdata}"

    def wire(self):
        """Return the unsigned message."""
        here = dns.name.from_text(self.here)
        zones = [_question(one) for one in (self.zone if self.zone is not None else (f"{self.origin} IN SOA",))]
        needs = [_record(one, here) for one in self.needs]
        does = [_record(one, here) for one in self.does]
        more = [_record(one, here) for one in self.more]
        if self.extra:
            needs += self.extra[0]
            does += self.extra[1]
        zocount, prcount, upcount = self.counts or (len(zones), len(needs), len(does))
        header = struct.pack("!6H", 4711, self.flags, zocount, prcount, upcount, len(more))
        return header + b"".join((*zones, *needs, *does, *more)) + self.tail


def _class(text):
    return int(text[5:]) if text.startswith("CLASS") else CLASSES[text]


def _question(text):
    name, rdclass, rdtype = text.split()
    return messages.question(name, int(dns.rdatatype.from_text(rdtype)), _class(rdclass))


def _record(text, here):
    owner, ttl, rdclass, rdtype, *data = text.split(" ", 4)
    number = int(dns.rdatatype.from_text(rdtype))
    octets = b""
    if data and data[0].startswith("\\# "):
        octets = bytes.fromhex(data[0][3:])
    elif data:
        octets = dns.rdata.from_text("IN", rdtype, data[0], origin=here, relativize=False).to_wire()
    name = dns.name.from_text(owner, here).to_wire()
    return name + struct.pack("!HHIH", number, _class(rdclass), int(ttl), len(octets)) + octets


def table():
    """Yield the rows that are written down."""
    for group in tomllib.loads(TABLE.read_text())["group"]:
        common = {key: value for key, value in group.items() if key not in ("name", "rows")}
        for row in group["rows"]:
            fields = {**common, **row}
            fields.setdefault("change", fields["code"] == "NOERROR")
            fields["tail"] = bytes.fromhex(fields.get("tail", ""))
            yield Row(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})


# What is never data (RFC 6895 §3.1), with the types between which servers draw their lines.
META = ["TYPE0", "OPT", "TYPE128", "TYPE200", "TKEY", "TSIG", "IXFR", "AXFR", "MAILB", "MAILA", "ANY"]
GOOD = "good 60 IN A 192.0.2.9"
ADDRESS = "\\# 01020304"


def prerequisites():
    """Yield the product of RFC 2136 §3.2.4's first tests: class, type, TTL, data."""
    kinds = ("ANY", "NONE", "CH", "HS", "CLASS0", "CLASS2", "CLASS65535")
    for rdclass, rdtype, ttl, data in itertools.product(kinds, ("A", "ANY", "TYPE65280"), (0, 1), ("", ADDRESS)):
        if rdclass in ("ANY", "NONE") and not ttl and not data:
            continue  # well-formed
        words = f"w {ttl} {rdclass} {rdtype} {data}".strip()
        case = f"need-{rdclass}-{rdtype}-ttl{ttl}-{'data' if data else 'bare'}".lower()
        yield Row(case, "2136 §3.2.5", "FORMERR", False, needs=(words,), does=(GOOD,))
    for rdclass, rdtype in itertools.product(("IN", "ANY", "NONE"), META):
        if rdtype == "ANY" and rdclass != "IN":
            continue
        words = f"w 0 {rdclass} {rdtype} {ADDRESS if rdclass == 'IN' else ''}".strip()
        code = "NOERROR" if rdclass == "NONE" else "NXRRSET"
        if rdtype in ("OPT", "TSIG") or (rdclass, rdtype) == ("IN", "TKEY"):
            code = "FORMERR"  # OPT and TSIG have their places (RFC 6891 §6.1.1, RFC 8945 §5.1); a TKEY has a form
        differs = ("bind-type-0",) if rdtype == "TYPE0" else ()
        case = f"need-meta-{rdclass}-{rdtype}".lower()
        yield Row(case, "2136 §3.2.5", code, code == "NOERROR", needs=(words,), does=(GOOD,), differs=differs)


def operations():
    """Yield the product of RFC 2136 §3.4.1.3's tests: class, type, TTL, data; a good operation goes before."""
    for rdclass, rdtype, ttl, data in itertools.product(
        ("ANY",), ("A", "ANY", "TYPE65280", "SOA", "NS"), (0, 60), ("", ADDRESS)
    ):
        if ttl or data:
            case = f"does-{rdclass}-{rdtype}-ttl{ttl}-{'data' if data else 'bare'}".lower()
            differs = () if data else ("knot-ttl-of-a-deletion",)
            yield _bad(case, f"w {ttl} {rdclass} {rdtype} {data}".strip(), differs)
    for rdclass, rdtype in itertools.product(("IN", "ANY", "NONE"), META):
        if (rdclass, rdtype) == ("ANY", "ANY"):
            continue
        for data in ("", ADDRESS) if rdclass != "ANY" else ("",):
            case = f"does-meta-{rdclass}-{rdtype}-{'data' if data else 'bare'}".lower()
            differs = ("knot-meta-types", "bind-type-0") if rdtype == "TYPE0" else ("knot-meta-types",)
            yield _bad(case, f"w 0 {rdclass} {rdtype} {data}".strip(), differs)
    for rdclass, rdtype in itertools.product(
        ("CH", "HS", "CLASS0", "CLASS2", "CLASS253", "CLASS65535"), ("A", "ANY", "TYPE65280")
    ):
        yield _bad(f"does-{rdclass}-{rdtype}".lower(), f"w 0 {rdclass} {rdtype} {ADDRESS}")
    for rdtype in ("A", "TYPE65280", "NS", "CNAME", "TXT"):
        yield _bad(f"does-none-{rdtype}-with-a-ttl".lower(), f"w 60 NONE {rdtype} {DATA.get(rdtype, ADDRESS)}")


def _bad(case, words, differs=()):
    return Row(case, "2136 §3.4.1", "FORMERR", False, start=("w 300 A 192.0.2.1",), does=(GOOD, words), differs=differs)


# One record of each layout. What is opaque cannot be malformed.
DATA = {
    "A": "192.0.2.1",
    "AAAA": "2001:db8::1",
    "NS": "ns.elsewhere.test.",
    "CNAME": "www.elsewhere.test.",
    "PTR": "www.elsewhere.test.",
    "MX": "10 mail.elsewhere.test.",
    "SOA": SOA.format(99),
    "TXT": '"one" "two"',
    "HINFO": '"one" "two"',
    "RP": "a.elsewhere.test. b.elsewhere.test.",
    "AFSDB": "1 a.elsewhere.test.",
    "RT": "1 a.elsewhere.test.",
    "PX": "1 a.elsewhere.test. b.elsewhere.test.",
    "KX": "1 a.elsewhere.test.",
    "SRV": "1 2 3 a.elsewhere.test.",
    "NAPTR": '1 2 "u" "s" "" a.elsewhere.test.',
    "DNAME": "a.elsewhere.test.",
    "LOC": "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
    "CAA": '0 issue "ca.test"',
    "SSHFP": "4 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    "TLSA": "3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    "URI": '10 1 "https://x/"',
    "SVCB": "1 a.elsewhere.test. alpn=h2 port=8443",
    "HTTPS": "1 . alpn=h2",
    "DS": "12345 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    "CSYNC": "5 3 A NS AAAA",
}
# Types whose data ends with a field of any length: shorter or longer is another value, not a fault.
OPEN_ENDED = {"CAA", "SSHFP", "TLSA", "URI", "DS", "TXT"}
# Types whose data Knot does not look into.
OPAQUE_TO_KNOT = {"HINFO", "SVCB", "HTTPS", "CSYNC", "CAA", "URI"}
# Types whose names in data may be compressed (RFC 1035 §3.3, RFC 3597 §4), with what goes before the first name.
COMPRESSIBLE = {"NS": b"", "CNAME": b"", "PTR": b"", "MX": b"\0\x0a", "SOA": b""}
UNCOMPRESSIBLE = {"DNAME": b"", "RP": b"", "AFSDB": b"\0\1", "RT": b"\0\1", "KX": b"\0\1", "SRV": b"\0\1\0\2\0\3"}


def rdata(rdtype):
    """Return the example of *rdtype* as octets."""
    return dns.rdata.from_text("IN", rdtype, DATA[rdtype]).to_wire()


def broken_data():
    """Yield additions whose data its type does not allow: empty, cut, too long; and deletions of such a record."""
    for rdtype in DATA:
        whole = rdata(rdtype)
        cases = {"empty": b"", "half": whole[: len(whole) // 2]}
        if rdtype not in OPEN_ENDED:
            cases |= {"cut": whole[:-1], "long": whole + b"\1"}
        for how, octets in cases.items():
            if how == "half" and rdtype in {*OPEN_ENDED, "CSYNC"}:
                continue  # CSYNC may end before its types
            differs = ("knot-opaque-data",) if rdtype in OPAQUE_TO_KNOT else ()
            data = f"{rdtype} \\# {octets.hex()}"
            yield _bad(f"data-{how}-{rdtype}".lower(), f"w2 60 IN {data}", differs)
            yield _bad(
                f"data-{how}-{rdtype}-delete".lower(),
                f"w2 0 NONE {data}",
                differs if octets else ("knot-empty-deletion",),
            )
            yield Row(
                f"data-{how}-{rdtype}-need".lower(), "2136 §3.2.5", "FORMERR", False,
                needs=(f"w2 0 IN {data}",), does=(GOOD,), differs=differs,
            )  # fmt: skip


def compressed_data():
    """Yield additions with a name in their data that is a pointer to the zone's name, at offset 12."""
    for rdtype, head in (COMPRESSIBLE | UNCOMPRESSIBLE).items():
        if rdtype == "SOA":
            continue  # below the apex it is ignored anyway
        octets = head + b"\x01t\xc0\x0c" + (b"\x01t\xc0\x0c" if rdtype == "RP" else b"")
        yield Row(
            f"data-compressed-{rdtype}".lower(), "1035 §4.1.4; 3597 §4", "NOERROR", True,
            does=(f"new 60 IN {rdtype} \\# {octets.hex()}",),
        )  # fmt: skip
    for how, pointer in {"forward": "c0ff", "itself": "c000"}.items():
        yield _bad(f"data-pointer-{how}", f"w2 60 IN NS \\# {pointer}")
    yield _bad("data-label-of-reserved-type", "w2 60 IN NS \\# 4161")
    yield _bad("data-name-of-256-octets", "w2 60 IN NS \\# " + ("3f" + "61" * 63) * 3 + "3f" + "61" * 63 + "00")


def _raw(owner, rdtype=1, rdclass=1, ttl=60, octets=b"\1\2\3\4", size=None):
    return owner + struct.pack("!HHIH", rdtype, rdclass, ttl, len(octets) if size is None else size) + octets


def broken_names():
    """Yield operations and prerequisites whose owner is no name, or whose length lies."""
    long = (b"\x3f" + b"a" * 63) * 3
    owners = {
        "pointer-forward": b"\xc3\xff",
        "pointer-into-the-header": b"\xc0\x00",
        "pointer-cut": b"\xc0",
        "label-type-01": b"\x41a\0",
        "label-type-10": b"\x81a\0",
        "label-over-the-end": b"\x3fabc",
        "256-octets": long + b"\x3f" + b"a" * 63 + b"\0",
    }
    for how, owner in owners.items():
        octets = owner if how in ("pointer-cut", "label-over-the-end") else _raw(owner)
        yield Row(f"owner-{how}", "1035 §4.1.4; 9267 §2", "FORMERR", False, does=(GOOD,), extra=([], [octets]))
        need = owner if how in ("pointer-cut", "label-over-the-end") else _raw(owner, 255, 255, 0, b"")
        if how not in ("pointer-cut", "label-over-the-end"):
            yield Row(f"need-owner-{how}", "1035 §4.1.4", "FORMERR", False, does=(GOOD,), extra=([need], []))
    yield Row(
        "length-over-the-end", "1035 §4.1.3", "FORMERR", False,
        does=(GOOD,), extra=([], [_raw(b"\x01w\xc0\x0c", size=4000)]),
    )  # fmt: skip
    yield Row(
        "record-cut-before-its-length", "1035 §4.1.3", "FORMERR", False,
        does=(GOOD,), extra=([], [_raw(b"\x01w\xc0\x0c", octets=b"")[:-2]]),
    )  # fmt: skip


def rows():
    """Return all rows; each has an id of its own."""
    found = [*table(), *prerequisites(), *operations(), *broken_data(), *compressed_data(), *broken_names()]
    assert len({row.id for row in found}) == len(found)
    return found
