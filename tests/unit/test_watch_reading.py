"""What answers say about serials and DS records, where parents listen, and how servers are written."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
from nameservers import SOA, refuses, says

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.transfers import notice
from ddns.watch import dsync, reading
from ddns.watch.ask import Server, read_address

HOMES = names.from_text("homes.example.")
DIGEST = "AB" * 32
DS = f"homes.example. 3600 IN DS 4711 13 2 {DIGEST}"
ZONE_SOA = SOA.format(zone="homes.example.", ttl=3600, serial=42, minimum=300)
PARENT_SOA = SOA.format(zone="example.", ttl=1800, serial=1, minimum=900)


def question(rdtype: str, name: str = "homes.example.") -> dns.message.Message:
    return dns.message.make_query(name, rdtype)


def test_a_serial_is_that_of_the_soa_in_the_answer():
    assert reading.serial(says(question("SOA"), ZONE_SOA), HOMES) == reading.Shown(serial=42)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (says(question("SOA"), ZONE_SOA, aa=False), "is not authoritative"),
        (refuses(question("SOA")), "answers REFUSED"),
        (refuses(question("SOA"), dns.rcode.SERVFAIL), "answers SERVFAIL"),
        (says(question("SOA"), soa=PARENT_SOA), "does not serve the zone"),
    ],
)
def test_no_serial_is_a_problem(answer, problem):
    assert reading.serial(answer, HOMES) == reading.Shown(problem=problem)


def test_a_ds_is_its_octets_and_its_ttl():
    shown = reading.ds(says(question("DS"), DS + f" | 815 15 4 {'CD' * 48}"), HOMES)

    assert shown.ds_ttl == 3600
    assert shown.ds == (b"\x03\x2f\x0f\x04" + b"\xcd" * 48, b"\x12\x67\x0d\x02" + b"\xab" * 32)


def test_no_ds_is_remembered_as_long_as_the_soa_says():
    """RFC 2308 §5: the lesser of the SOA's TTL and its minimum."""
    assert reading.ds(says(question("DS"), soa=PARENT_SOA), HOMES) == reading.Shown(ds=(), ds_ttl=900)


def test_a_name_that_is_not_there_has_no_ds():
    answer = says(question("DS"), soa=PARENT_SOA)
    answer.set_rcode(dns.rcode.NXDOMAIN)

    assert reading.ds(answer, HOMES).ds == ()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (says(question("DS"), DS, aa=False), "is not authoritative"),
        (says(question("DS"), soa=ZONE_SOA), "answers for the zone itself, not for its parent"),
        (
            says(question("DS"), soa=SOA.format(zone="elsewhere.", ttl=60, serial=1, minimum=60)),
            "answers for the zone itself, not for its parent",
        ),
        (says(question("DS")), "says neither that there is a DS nor that there is none"),
        (says(question("DS"), "homes.example. 60 IN CNAME elsewhere."), "answers something else than a DS"),
        (refuses(question("DS")), "answers REFUSED"),
    ],
)
def test_who_does_not_answer_as_a_parent_shows_nothing(answer, problem):
    assert reading.ds(answer, HOMES) == reading.Shown(problem=problem)


def test_a_negative_answer_tells_where_the_zone_begins():
    assert reading.apex(
        says(question("SOA", "ise.mie.jp."), soa=SOA.format(zone="jp.", ttl=1, serial=1, minimum=1))
    ) == (names.from_text("jp."))
    assert reading.apex(says(question("SOA"))) is None


def asked(child: str, *apexes: str) -> list[str]:
    """Return what is asked for *child* where each answer is negative and has the SOA of the next of *apexes*."""
    done: list = []
    out = []
    while (name := dsync.lookup_names(names.from_text(child), done)) is not None:
        out.append(names.to_text(name))
        apex = apexes[min(len(done), len(apexes) - 1)]
        done.append((name, says(question("TYPE66"), soa=f"{apex} 1 IN SOA ns.test. host.test. 1 1 1 1 1")))
    return out


def test_a_listener_is_looked_for_as_rfc_9859_has_it():
    """RFC 9859 §4.1, with its own example: city.ise.mie.jp is delegated from jp."""
    assert asked("city.ise.mie.jp.", "jp.") == ["city._dsync.ise.mie.jp.", "city.ise.mie._dsync.jp.", "_dsync.jp."]
    assert asked("homes.example.", "example.") == ["homes._dsync.example.", "_dsync.example."]


def test_a_delegated_dsync_zone_is_looked_into_once():
    assert asked("homes.example.", "_dsync.example.") == ["homes._dsync.example.", "_dsync.example."]


def test_the_child_of_the_root_is_asked_for_below_the_root():
    assert asked("example.", ".") == ["example._dsync.", "_dsync."]


def dsync_answer(*datas: str) -> dns.message.Message:
    return says(question("TYPE66", "homes._dsync.example."), "homes._dsync.example. 60 IN TYPE66 " + "|".join(datas))


def generic(rdtype: int, scheme: int, port: int, target: str) -> str:
    octets = rdtype.to_bytes(2, "big") + bytes((scheme,)) + port.to_bytes(2, "big") + names.from_text(target)
    return f"\\# {len(octets)} {octets.hex()}"


def test_the_listener_for_cds_by_notify_is_taken():
    answer = dsync_answer(
        generic(Type.CSYNC, 1, 53, "csync.example."),
        generic(Type.CDS, 128, 53, "private.example."),
        generic(Type.CDS, 0, 53, "null.example."),
        generic(Type.CDS, 1, 5359, "Scanner.example."),
    )

    assert dsync.listener_in(answer) == (names.from_text("scanner.example."), 5359)


@pytest.mark.parametrize("data", [generic(Type.CDS, 1, 0, "a.example."), generic(Type.CDS, 1, 53, ".")])
def test_a_listener_nowhere_is_none(data):
    assert dsync.listener_in(dsync_answer(data)) is None


def test_a_notify_about_cds_is_as_the_standard_has_it():
    """RFC 9859 §4: as in RFC 1996, with another type and without records."""
    message = dns.message.from_wire(notice.about(7, HOMES, Type.CDS))

    assert (message.id, message.opcode()) == (7, dns.opcode.NOTIFY)
    assert message.flags == dns.flags.AA | dns.opcode.to_flags(dns.opcode.NOTIFY)
    assert [(str(one.name), one.rdtype) for one in message.question] == [("homes.example.", dns.rdatatype.CDS)]
    assert not message.answer


@pytest.mark.parametrize(
    ("text", "server", "written"),
    [
        ("192.0.2.7", Server("192.0.2.7", 53), "192.0.2.7:53"),
        ("192.0.2.7:5353", Server("192.0.2.7", 5353), "192.0.2.7:5353"),
        ("2001:db8::1", Server("2001:db8::1", 53), "[2001:db8::1]:53"),
        ("[2001:DB8::1]:99", Server("2001:db8::1", 99), "[2001:db8::1]:99"),
    ],
)
def test_servers_are_read_and_written(text, server, written):
    assert read_address(text, 53) == server
    assert str(server) == written


@pytest.mark.parametrize("text", ["", "ns1.example", "192.0.2.7:0", "192.0.2.7:65536", "[::1", "192.0.2.7:x"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        read_address(text, 53)
