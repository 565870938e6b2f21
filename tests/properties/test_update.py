"""Random updates against a second reading of RFC 2136: record by record, with no RRsets and no bytes."""

from __future__ import annotations

from craft import ANY, IN, NONE, SOA, message, rdata, rr, rrsets_of, show, work
from hypothesis import given, settings
from hypothesis import strategies as st

from ddns.dns.codes import Rcode
from ddns.dns.refusal import Refusal
from ddns.zone.update import Update, parse

# A record of the model: owner, type, data as text, TTL. Owners and types are few, so that rules meet.
Record = tuple[str, str, str, int]

TEXTS = {
    "A": ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
    "TXT": ['"one"', '"two"'],
    "NS": ["ns.example.", "ns2.example."],
    "CNAME": ["a.smith.example.", "b.smith.example."],
    "DNAME": ["x.example.", "y.example."],
    "KEY": ["512 3 15 " + "A" * 32 + " " + "A" * 11 + "="],
    "SOA": [SOA.format(serial=serial) for serial in (9, 10, 11, 2**31 + 5)],
}
OWNERS = ["@", "cam", "a.cam", "*"]
BESIDE = {"KEY"}
SINGLE = {"CNAME", "DNAME", "SOA"}

owner = st.sampled_from(OWNERS)
rdtype = st.sampled_from(sorted(TEXTS))
data = rdtype.flatmap(lambda kind: st.tuples(st.just(kind), st.sampled_from(TEXTS[kind])))
ttl = st.sampled_from([0, 60, 300])

adding = st.tuples(st.just("add"), owner, data, ttl)
removing = st.tuples(st.just("remove"), owner, data)
clearing = st.tuples(st.just("clear"), owner, st.sampled_from([*sorted(TEXTS), "ANY"]))
operations = st.lists(adding | removing | clearing, max_size=8)

asking = st.tuples(st.sampled_from(["exists", "absent"]), owner, st.sampled_from([*sorted(TEXTS), "ANY"]))
equalling = st.tuples(st.just("equals"), owner, data)
needs = st.lists(asking | equalling, max_size=3)

content = st.lists(st.tuples(owner, data.filter(lambda pair: pair[0] not in SINGLE), ttl), max_size=6)


def wire_of(asked: tuple) -> bytes:
    match asked:
        case ("add", where, (kind, text), seconds):
            return rr(where, kind, IN, seconds, rdata(kind, text))
        case ("remove", where, (kind, text)):
            return rr(where, kind, NONE, 0, rdata(kind, text))
        case ("clear" | "exists", where, kind):
            return rr(where, kind, ANY)
        case ("absent", where, kind):
            return rr(where, kind, NONE)
        case ("equals", where, (kind, text)):
            return rr(where, kind, IN, 0, rdata(kind, text))
    raise ValueError(asked)


def serial(text: str) -> int:
    return int(text.split()[2])


def met(records: set[Record], asked: list[tuple]) -> Rcode:
    """Judge prerequisites as RFC 2136 §3.2.5 writes it down."""
    collected: dict[tuple[str, str], set[str]] = {}
    for one in asked:
        what, where, kind = one
        if what == "equals":
            collected.setdefault((where, kind[0]), set()).add(kind[1])
            continue
        there = any(record[0] == where and kind in ("ANY", record[1]) for record in records)
        if what == "exists" and not there:
            return Rcode.NXDOMAIN if kind == "ANY" else Rcode.NXRRSET
        if what == "absent" and there:
            return Rcode.YXDOMAIN if kind == "ANY" else Rcode.YXRRSET
    for (where, kind), texts in collected.items():
        if {record[2] for record in records if record[:2] == (where, kind)} != texts:
            return Rcode.NXRRSET
    return Rcode.NOERROR


def done(records: set[Record], asked: tuple) -> set[Record]:
    """Do one operation as RFC 2136 §3.4.2 writes it down, with RFC 2181 §5.2 and RFC 6672 §5.2."""
    match asked:
        case ("add", where, (kind, text), seconds):
            here = {record for record in records if record[0] == where}
            same = {record for record in here if record[1] == kind}
            others = {record[1] for record in here} - {kind}
            if kind == "SOA" and (not same or not 0 < (serial(text) - serial(min(same)[2])) % 2**32 < 2**31):
                return records
            if kind == "CNAME" and others - BESIDE:
                return records
            if kind not in ("CNAME", *BESIDE) and "CNAME" in others:
                return records
            kept = set() if kind in SINGLE else {record[2] for record in same}
            return records - same | {(where, kind, other, seconds) for other in kept | {text}}
        case ("remove", where, (kind, text)):
            same = {record for record in records if record[:2] == (where, kind)}
            if kind == "SOA" or (kind == "NS" and where == "@" and len(same) == 1):
                return records
            return {record for record in records if record[:3] != (where, kind, text)}
        case ("clear", where, kind):
            kept = ("SOA", "NS") if where == "@" else ()
            return {
                record
                for record in records
                if record[0] != where or kind not in ("ANY", record[1]) or record[1] in kept
            }
    raise ValueError(asked)


def lines(records: set[Record]) -> set[str]:
    return {f"{where} {seconds} {kind} {text}" for where, kind, text, seconds in records}


def start(some: list[tuple]) -> set[Record]:
    """Return a zone's records: one TTL an RRset, and a SOA and NS."""
    records: set[Record] = {("@", "SOA", SOA.format(serial=10), 3600), ("@", "NS", "ns.example.", 3600)}
    for where, (kind, text), seconds in some:
        records = done(records, ("add", where, (kind, text), seconds))
    return records


@settings(max_examples=400)
@given(content, needs, operations)
def test_updates_do_what_the_rfc_says(some, asked, wanted):
    """The zone after any update is the model's, and an unmet prerequisite has the model's RCODE."""
    records = start(some)
    before = rrsets_of(*lines(records))
    wire = message(*map(wire_of, wanted), needs=map(wire_of, asked))

    after = work(before, wire)

    expected = met(records, asked)
    if isinstance(after, Refusal):
        assert after.rcode == expected
        return
    assert expected == Rcode.NOERROR
    for operation in wanted:
        records = done(records, operation)
    assert show(after) == lines(records)


@given(content, operations, operations)
def test_two_updates_are_one(some, first, second):
    """What two messages do one after the other, one message with both does too."""
    before = rrsets_of(*lines(start(some)))

    between = work(before, message(*map(wire_of, first)))
    after = work(between, message(*map(wire_of, second)))

    assert show(after) == show(work(before, message(*map(wire_of, first + second))))


@given(operations, needs, st.data())
def test_damaged_messages_are_read_or_refused(wanted, asked, draw):
    """Changed, inserted or lost octets never raise, and what is read names only records inside of the message."""
    octets = bytearray(message(*map(wire_of, wanted), needs=map(wire_of, asked)))
    for _ in range(draw.draw(st.integers(min_value=1, max_value=3))):
        at = draw.draw(st.integers(min_value=0, max_value=len(octets) - 1))
        match draw.draw(st.sampled_from(["change", "lose", "insert"])):
            case "change":
                octets[at] = draw.draw(st.integers(min_value=0, max_value=255))
            case "lose":
                del octets[at]
            case "insert":
                octets.insert(at, draw.draw(st.integers(min_value=0, max_value=255)))

    update = parse(bytes(octets))

    if isinstance(update, Update):
        assert all(where.endswith(update.zone) for where in update.names)
        assert len(update.operations) <= len(wanted) + len(asked)
        assert (len(update.operations) < len(wanted)) <= (update.fault is not None) or update.prerequisites
    else:
        assert update.rcode in (Rcode.FORMERR, Rcode.NOTAUTH, Rcode.REFUSED)


@given(st.binary(max_size=300))
def test_noise_is_refused(octets):
    """Whatever comes, nothing is raised."""
    assert isinstance(parse(octets), Refusal | Update)
