"""What one input of the libFuzzer target of `ddns.dns._native` does: each helper says what its twin says, or nothing.

The helpers under test are linked into the program; the package finds them as its own.
"""

import linked  # first, so that the package finds it  # isort: skip
import _native
import fuzz_update

from ddns.answer import served
from ddns.auth import tsig
from ddns.auth.envelope import _open_signed, open_signed
from ddns.auth.trailer import _find, find
from ddns.dns import names, twin
from ddns.dns.codes import Type
from ddns.dns.names import BadName
from ddns.dns.records import RRset, SignedRRset
from ddns.dns.wire import BadMessage
from ddns.store.packing import _packed
from ddns.store.unpacking import _unpacked
from ddns.zone import plain
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.limits import DEFAULT, Limits
from ddns.zone.plain import MOVING
from ddns.zone.request import _parse, _walk, _walk_slowly, parse
from ddns.zone.view import View

FEW = Limits(records_per_update=4, ttl=200)
HEADER = 12  # octets
ZONE_END = HEADER + len(fuzz_update.craft.ORIGIN) + 4  # the offset behind the zone section of most seeds
STEP = 7  # octets between two places at which a name is read

assert twin.walk is _native.walk is linked._native.walk


def once(octets):
    read(octets)
    served_out_of(octets)
    packed(octets)
    unpacked(octets)
    stepped(octets)
    fuzz_update.judge(octets, fuzz_update.work(octets))


def said(work, *args):
    """Return what *work* returns or raises."""
    try:
        return work(*args)
    except (BadName, BadMessage) as error:
        return type(error), str(error)


def read(octets):
    """As a message, and as names and records from anywhere in it."""
    for offset in range(0, len(octets) + STEP, STEP):
        found = said(names.read, octets, offset)
        assert found == said(names._read, octets, offset)
        if isinstance(found[0], bytes):
            assert names.order_key(found[0]) == names._order_key(found[0])
    count = int.from_bytes(octets[6:8], "big")
    for offset, records in (
        (HEADER, count),
        (HEADER + len(fuzz_update.craft.ORIGIN) + 4, count),
        (len(octets) // 2, 2),
    ):
        assert said(_walk, octets, offset, records) == said(_walk_slowly, octets, offset, records)
    assert find(octets) == _find(octets)
    assert open_signed(octets) == _open_signed(octets)
    for limits in (DEFAULT, FEW):
        assert parse(octets, limits) == _parse(octets, limits)


def served_out_of(octets):
    """As an RRset in memory, which it is not: nothing is read beyond it; and as the data of one that is."""
    for split in (0, len(octets) // 2, len(octets), len(octets) + 1):
        odd = (served.Served(1, split, octets[0] if octets else 0, octets),)
        _native.stored(RRset, names.ROOT, odd, frozenset())
        _native.published(SignedRRset, names.ROOT, odd, 1)
    data, sigs = (octets[:40], octets[40:90]), (octets[:9],) * (len(octets) % 3)
    node = (served.serve(1, len(octets), data, sigs),)
    assert node[0] == served._serve(1, len(octets), data, sigs)
    assert served.stored(names.ROOT, node, frozenset()) == served._stored(names.ROOT, node, frozenset())
    assert served.published(names.ROOT, node, 1) == served._published(names.ROOT, node, 1)


def stepped(octets):
    """As names, types and data of RRsets that change, and of the apex that they stand below."""
    cut = len(octets) // 2
    name, origin, rdtype = octets[:cut], octets[cut // 2 : cut], octets[0] if octets else 0
    was, now = (RRset(name, rdtype, 60, (one,)) for one in (octets[cut:], octets))
    apex = tuple(RRset(origin, Type.SOA, 60, (one,)) for one in (octets[:40], octets[-40:]))
    changes = (RRsetChange(name, rdtype, was, now), RRsetChange(origin, Type.SOA, *apex))
    before, after = {origin: apex[:1], name: (was,)}, {origin: apex[1:], name: (now,)}
    found = _native.plain_step(changes, before, after, origin, len(octets), MOVING, MOVING, RRset)
    assert found is None or found == plain._step(changes, before, after, origin, len(octets))
    if name == origin:
        return
    view, pure = View(before), View(before)
    view.apply(ChangeSet(changes))
    pure._apply(ChangeSet(changes))
    assert (view._now, view._changed) == (pure._now, pure._changed)
    nodes = {name: (served._serve(rdtype, 60, (octets[cut:],), ()),), origin: (served.Served(6, 3, 0, octets),)}
    come = (SignedRRset(name, rdtype, 60, (octets,)), SignedRRset(name, 28, 60, (octets,)))
    gone = served.replaced(nodes, come)
    assert gone == served._replaced(nodes, come)
    _native.replaced(SignedRRset, nodes, (SignedRRset(origin, 6, 60, ()),))
    found = _native.replace(served.Served, nodes, gone, come[: len(gone)], frozenset())
    assert found is None or nodes[name][-1].wire.endswith(octets)
    question = name + rdtype.to_bytes(2, "big") + b"\0\1"
    assert _native.asked(((name, rdtype),), {question: 1}, {}, {}, {}) == [(name, question)]


def unpacked(octets):
    """As a row of Postgres, and as a value, a list, and rows in one."""
    kinds = bytes(b"qiznbtIBS"[one % 9] for one in octets[:7])
    column = b"\0\0\0\1\0\0\0\0" + len(octets).to_bytes(4, "big") + octets
    for one, cell in ((kinds, octets), *((bytes((kind,)), column) for kind in kinds), (b"(" + kinds + b")q", column)):
        found = _native.unpack_rows(one, [cell], SignedRRset)
        assert found is None or found == _unpacked(one, [cell])


def packed(octets):
    """As data, as a number, and as what stands in rows of any kinds."""
    kinds = bytes(b"qibntBRS"[one % 8] for one in octets[:7])
    number = int.from_bytes(octets[:4], "big", signed=True)
    values = {
        "q": number, "i": number, "b": octets, "n": names.from_text("a.b."),
        "t": octets.decode("latin-1").replace("\0", ""),
        "B": (octets, octets[:5]), "R": RRset(names.ROOT, 1, 60, (octets,)),
        "S": SignedRRset(names.ROOT, 1, 60, (octets,), (octets[:9],)),
    }  # fmt: skip
    parameters = [octets, number, (kinds, [tuple(values[chr(kind)] for kind in kinds)] * (len(octets) % 4))]
    elements = (0, 0, 7)
    assert twin.pack_parameters(parameters, elements) in (None, _packed(parameters, elements))
    if len(octets) >= HEADER and octets[10:12] != b"\xff\xff":
        stamp = tsig._Stamp(number & 0xFFFFFFFF, 300, 0, octets[:6])
        args = octets, names.from_text("k."), names.from_text("hmac-sha256."), octets[:32], stamp
        assert tsig._append(*args) == tsig._append_slowly(*args)
