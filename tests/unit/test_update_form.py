"""The wire of an UPDATE: what is malformed as a whole, and what the values say of what is not."""

from __future__ import annotations

import struct

import dns.flags
import dns.message
import dns.opcode
import dns.rdataclass
import dns.update
import pytest
from craft import ANY, IN, NONE, ORIGIN, absent, add, delete, equals, exists, message, name, rdata, rr

from ddns.dns import names, wire
from ddns.dns.codes import Rcode
from ddns.dns.refusal import Refusal
from ddns.zone.update import Operation, Prerequisite, Update, parse


def good(octets: bytes) -> Update:
    update = parse(octets)
    assert isinstance(update, Update), update
    return update


def refused(octets: bytes) -> Rcode:
    refusal = parse(octets)
    assert isinstance(refusal, Refusal), refusal
    return refusal.rcode


def test_sections_become_values_in_message_order():
    """Prerequisites and operations keep their order, their classes, TTLs and canonical RDATA."""
    octets = message(
        delete("cam", "A"), add("CAM", 300, "A", "192.0.2.1"), needs=[exists("cam", "A"), equals("@", "TXT", '"x"')]
    )

    update = good(octets)

    assert update.zone == ORIGIN
    assert update.prerequisites == (
        Prerequisite(name("cam"), 1, ANY),
        Prerequisite(ORIGIN, 16, IN, b"\x01x"),
    )
    assert update.operations == (
        Operation(name("cam"), 1, ANY),
        Operation(name("cam"), 1, IN, 300, bytes((192, 0, 2, 1))),
    )
    assert update.names == (ORIGIN, name("cam"))
    assert update.targets() == ((name("cam"), 1),)


def test_the_zone_section_can_be_echoed():
    """`zone_end` is the offset behind the zone section."""
    octets = message(add("cam", 300, "A", "192.0.2.1"))

    assert octets[12 : good(octets).zone_end] == ORIGIN + struct.pack("!HH", 6, 1)


def test_rdata_compressed_in_the_message_is_read():
    """An MX whose exchange is a pointer into the zone section is stored uncompressed (RFC 1035 §4.1.4)."""
    octets = message(rr("@", "MX", IN, 60, b"\0\x0a\x04mail\xc0\x0c"))

    assert good(octets).operations[0].rdata == b"\0\x0a" + name("mail")


def test_messages_that_dnspython_writes_mean_the_same():
    """What dns.update.UpdateMessage asks for is what is read, compression included."""
    made = dns.update.UpdateMessage("smith.example.")
    made.present("cam")
    made.absent("old", "A")
    made.replace("cam", 300, "A", "192.0.2.1")
    made.add("www", 300, "CNAME", "cam")
    made.delete("gone")
    made.delete("cam", "AAAA", "2001:db8::1")

    update = good(made.to_wire())

    assert update.prerequisites == (Prerequisite(name("cam"), 255, ANY), Prerequisite(name("old"), 1, NONE))
    assert update.operations == (
        Operation(name("cam"), 1, ANY),
        Operation(name("cam"), 1, IN, 300, bytes((192, 0, 2, 1))),
        Operation(name("www"), 5, IN, 300, name("cam")),
        Operation(name("gone"), 255, ANY),
        Operation(name("cam"), 28, NONE, 0, rdata("AAAA", "2001:db8::1")),
    )


def test_unknown_types_are_opaque():
    """A type that nobody knows is carried as octets, an empty RDATA too (RFC 3597 §3)."""
    update = good(message(rr("cam", 65280, IN, 60, b"\xc0\x0c\xff"), rr("cam", 65281, IN, 60)))

    assert [one.rdata for one in update.operations] == [b"\xc0\x0c\xff", b""]


@pytest.mark.parametrize("count", [0, 2])
def test_the_zone_section_holds_one_record(count):
    """ZOCOUNT other than 1 is FORMERR (RFC 2136 §3.1.1)."""
    octets = bytearray(message())
    octets[4:6] = struct.pack("!H", count)
    if count == 2:
        octets += ORIGIN + struct.pack("!HH", 6, 1)

    assert refused(bytes(octets)) == Rcode.FORMERR


@pytest.mark.parametrize("rdtype", [1, 2, 251, 252, 255])
def test_the_zone_sections_type_is_soa(rdtype):
    """ZTYPE other than SOA is FORMERR (RFC 2136 §3.1.1)."""
    octets = message().replace(struct.pack("!HH", 6, 1), struct.pack("!HH", rdtype, 1))

    assert refused(octets) == Rcode.FORMERR


@pytest.mark.parametrize("rdclass", [0, 3, 4, 254, 255])
def test_zones_of_another_class_are_not_ours(rdclass):
    """ZCLASS other than IN is NOTAUTH: no such zone is served (RFC 2136 §3.1.2)."""
    octets = message().replace(struct.pack("!HH", 6, 1), struct.pack("!HH", 6, rdclass))

    assert refused(octets) == Rcode.NOTAUTH


def test_trailing_octets_are_a_fault():
    """Octets behind the last counted record are FORMERR."""
    assert refused(message(add("cam", 60, "A", "192.0.2.1")) + b"\0") == Rcode.FORMERR


@pytest.mark.parametrize("at", [6, 8, 10])
@pytest.mark.parametrize("step", [1, -1])
def test_counts_must_match_the_records(at, step):
    """A count that is one too great or too small is FORMERR."""
    octets = bytearray(
        message(add("cam", 60, "A", "192.0.2.1"), needs=[absent("old")], additional=[rr("ns", 1, IN, 0, bytes(4))])
    )
    octets[at + 1] += step

    assert refused(bytes(octets)) == Rcode.FORMERR


def test_truncation_at_every_byte_is_a_fault():
    """No prefix of a message passes, and none raises."""
    octets = message(
        delete("cam"),
        add("cam", 60, "MX", "10 mail"),
        needs=[exists("cam", "A")],
        additional=[wire.opt(1232, do=False)],
    )

    assert {refused(octets[:size]) for size in range(len(octets))} == {Rcode.FORMERR}


def test_an_opt_record_is_found():
    """The sender's EDNS is there for the reply."""
    update = good(message(additional=[wire.opt(4096, do=True)]))

    assert update.edns == wire.Edns(4096, 0, do=True)


@pytest.mark.parametrize(
    "additional",
    [
        [wire.opt(1232, do=False), wire.opt(1232, do=False)],
        [rr("cam", 41, 1232)],
        [rr("cam", 41, 1232, 0, b"\0\x0a\0\x09short")],
        [names.ROOT + struct.pack("!HHIH", 41, 1232, 0, 3) + b"\0\x0a\0"],
    ],
)
def test_bad_opt_records_are_a_fault(additional):
    """Two OPT, one that is not the root's, or one whose options do not parse: FORMERR (RFC 6891 §6.1.1)."""
    assert refused(message(additional=additional)) == Rcode.FORMERR


@pytest.mark.parametrize("section", ["needs", "operations"])
def test_an_opt_record_stands_in_the_additional_section_only(section):
    """Elsewhere the message is malformed, whatever its owner (RFC 6891 §6.1.1)."""
    opt = wire.opt(1232, do=False)

    assert refused(message(needs=[opt]) if section == "needs" else message(opt)) == Rcode.FORMERR


def test_another_version_of_edns_is_badvers():
    """RFC 6891 §6.1.3, before anything else of the message is judged."""
    opt = names.ROOT + struct.pack("!HHIH", 41, 1232, 1 << 16, 0)

    assert refused(message(rr("other.", "A", IN, 60, bytes(3)), additional=[opt])) == Rcode.BADVERS


def test_targets_hold_what_is_malformed_too():
    """Permissions are asked for every record of the update section, also behind the first fault."""
    octets = message(rr("cam", 252, IN), add("tv", 60, "A", "192.0.2.1"), rr("@", "ANY", ANY))

    assert good(octets).targets() == ((name("cam"), 252), (name("tv"), 1), (ORIGIN, 255))


def test_the_root_zone_can_be_updated():
    """Every name is in the root zone."""
    octets = message(add("cam", 60, "A", "192.0.2.1"), origin=names.ROOT)

    assert good(octets).fault is None
