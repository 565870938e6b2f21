"""The gateway's messages, read by dnspython as the independent parser."""

import dns.message
import dns.rdataclass
import dns.rdatatype
import pytest

from ddns.dns import names
from ddns.gateway import update
from ddns.gateway.key import GatewayKey
from ddns.gateway.state import Device, Pin

ZONE = names.from_text("smith.homes.example.")
CAM = names.from_text("cam", ZONE)
DIGEST = "ab" * 32
FULL = Device(("192.0.2.1", "2001:db8::1"), (Pin(443, DIGEST),), 300)


def published(wanted, before=None):
    message = dns.message.from_wire(update.publish(ZONE, CAM, wanted, before, ident=7, nonce=b"12345678"))
    return message, [f"{rrset}" for rrset in message.update]


def test_publishing_replaces_addresses_and_tlsa_in_one_message():
    """Three RRsets are cleared and written again; nothing else is touched."""
    message, rows = published(FULL)

    assert message.id == 7
    assert [f"{rrset}" for rrset in message.zone] == ["smith.homes.example. IN SOA"]
    assert rows == [
        "cam.smith.homes.example. ANY A",
        "cam.smith.homes.example. ANY AAAA",
        "_443._tcp.cam.smith.homes.example. ANY TLSA",
        "cam.smith.homes.example. 300 IN A 192.0.2.1",
        "cam.smith.homes.example. 300 IN AAAA 2001:db8::1",
        f"_443._tcp.cam.smith.homes.example. 300 IN TLSA 3 1 1 {DIGEST}",
    ]


def test_a_port_that_is_pinned_no_more_loses_its_tlsa():
    """What was published before is cleared even where nothing takes its place."""
    _, rows = published(Device(("192.0.2.1",), (Pin(8443, DIGEST),), 60), FULL)

    assert "_443._tcp.cam.smith.homes.example. ANY TLSA" in rows
    assert f"_8443._tcp.cam.smith.homes.example. 60 IN TLSA 3 1 1 {DIGEST}" in rows


def test_removing_a_name_only_clears():
    """No record is added."""
    _, rows = published(None, FULL)

    assert rows == [
        "cam.smith.homes.example. ANY A",
        "cam.smith.homes.example. ANY AAAA",
        "_443._tcp.cam.smith.homes.example. ANY TLSA",
    ]


def test_records_are_added_and_deleted_one_by_one():
    """What is not named stays (RFC 2136 §2.5.1 and §2.5.4)."""
    caa = b"\x00\x05issue;"

    octets = update.records(ZONE, [(CAM, 257, 60, caa)], [(ZONE, 257, caa)], ident=7, nonce=b"12345678")

    rows = [f"{rrset}" for rrset in dns.message.from_wire(octets).update]
    assert rows == ['smith.homes.example. 0 NONE CAA 0 issue ";"', 'cam.smith.homes.example. 60 IN CAA 0 issue ";"']


def test_enrolling_adds_the_key_at_the_home_below_the_registrys_zone():
    """One KEY record, flags 512, protocol 3, algorithm 13."""
    key = GatewayKey.make(ZONE)
    registry = names.parent(ZONE)

    message = dns.message.from_wire(update.enrol(registry, ZONE, key.rdata, ident=1, nonce=bytes(8)))

    (rrset,) = message.update
    assert f"{message.zone[0].name}" == "homes.example."
    assert (f"{rrset.name}", rrset.rdtype) == ("smith.homes.example.", dns.rdatatype.KEY)
    assert rrset[0].to_text().replace(" ", "") == key.to_text().replace(" ", "")


def test_every_message_speaks_edns_and_is_like_no_other():
    """An OPT for extended errors, and in it a cookie that makes equal wishes differ."""
    one = dns.message.from_wire(update.probe(ZONE, ident=1, nonce=b"12345678"))

    assert one.edns == 0
    assert one.payload == 1232
    assert [option.client for option in one.options] == [b"12345678"]


def test_a_signed_update_of_address_key_hash_and_signature_fits_512_octets():
    """Constrained paths carry it in one datagram (RFC 1035 §4.2.1)."""
    key = GatewayKey.make(ZONE)
    device = Device(("2001:db8:1:2:3:4:5:6",), (Pin(443, DIGEST),))

    wire = key.sign_request(update.publish(ZONE, CAM, device, None, ident=1, nonce=bytes(8)), now=1)

    assert len(wire) <= 512


@pytest.mark.parametrize("label", ["a" * 64, "cam." + ".".join(["a" * 60] * 4)])
def test_a_name_too_long_for_a_tlsa_is_refused(label):
    """63 octets a label, 255 a name."""
    with pytest.raises(names.BadName):
        update.tlsa_name(names.from_text(label, ZONE), 443)
