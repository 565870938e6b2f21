"""What a child asks for in an UPDATE to its registry: its own delegation, all of it, and nothing else."""

from __future__ import annotations

import pytest
from said import HOME, NS1, NS2, REGISTRY, child, ds

from ddns.dns.codes import Class, Type
from ddns.dns.names import from_text, prepend
from ddns.dns.records import RRset
from ddns.zone.child import Fault
from ddns.zone.request import Operation
from ddns.zone.wanted import from_update

NS3 = from_text("ns3.smith.homes.test.")
ONE, TWO = bytes((11, 0, 0, 1)), bytes((11, 0, 0, 2))


def add(rdtype: int, rdata: bytes, name: bytes = HOME) -> Operation:
    return Operation(name, rdtype, Class.IN, 60, rdata)


def delete(rdtype: int, rdata: bytes = b"", name: bytes = HOME) -> Operation:
    return Operation(name, rdtype, Class.NONE if rdata else Class.ANY, 0, rdata)


def wanted(*operations: Operation):
    return from_update(HOME, child(), operations, 300)


def test_nothing_asked_for_is_what_there_is():
    assert wanted() == child(servers=tuple(sorted((NS1, NS2))))


def test_servers_addresses_and_ds_are_replaced_in_one_message():
    found = wanted(
        delete(Type.NS), add(Type.NS, NS3), add(Type.A, TWO, NS3), delete(Type.DS), add(Type.DS, ds("b")),
    )  # fmt: skip

    assert (found.servers, found.ds) == ((NS3,), (ds("b"),))
    assert found.glue == (RRset(NS3, Type.A, 300, (TWO,)),)


def test_single_records_come_and_go():
    found = wanted(delete(Type.NS, NS2), add(Type.DS, ds("b")), delete(Type.DS, ds("a")), add(Type.A, TWO, NS1))

    assert (found.servers, found.ds) == ((NS1,), (ds("b"),))
    assert found.glue == (RRset(NS1, Type.A, 60, (ONE, TWO)),)


def test_a_record_that_is_not_there_is_deleted_without_harm():
    assert wanted(delete(Type.DS, ds("b")), delete(Type.AAAA, name=NS3), delete(Type.A, ONE, NS3)) == wanted()


def test_a_name_is_deleted_with_all_that_it_has():
    found = wanted(delete(Type.ANY), delete(Type.ANY, name=NS1))

    assert (found.servers, found.glue, found.ds) == ((), (), ())


def test_addresses_of_a_server_that_is_none_any_more_go_and_new_ones_of_no_server_stay_to_be_judged():
    assert wanted(delete(Type.NS, NS1)).glue == ()
    assert [one.name for one in wanted(add(Type.A, TWO, prepend(b"www", HOME))).glue] == [NS1, prepend(b"www", HOME)]


@pytest.mark.parametrize("name", [REGISTRY, from_text("jones.homes.test."), NS2, from_text("xsmith.homes.test.")])
@pytest.mark.parametrize("rdtype", [Type.NS, Type.A])
def test_no_name_but_the_childs_own_is_changed(name, rdtype):
    found = wanted(add(rdtype, NS3 if rdtype == Type.NS else ONE, name))

    assert isinstance(found, Fault)
    assert found.rule == "other-name"


@pytest.mark.parametrize(
    "operation",
    [
        add(Type.TXT, b"\1x"),
        add(Type.NS, NS3, NS1),
        add(Type.DS, ds("a"), NS1),
        delete(Type.TXT),
        add(Type.CNAME, NS2),
        add(Type.TXT, b"\1x", NS1),
    ],
)
def test_nothing_but_ns_ds_and_addresses_is_changed(operation):
    found = wanted(add(Type.DS, ds("b")), operation)

    assert isinstance(found, Fault)
    assert found.rule == "other-type"
