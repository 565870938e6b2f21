"""What a constrained device sends fits into one datagram of 512 octets, as RFC 1035 §2.3.4 has it: row 58."""

import dns.message
import dns.rdatatype
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from rows import n

from ddns.auth import keys, sig0
from ddns.gateway import update
from ddns.gateway.state import Device, Pin

DATAGRAM = 512  # octets
NOW = 1_800_000_000
KEY = ec.derive_private_key(58, ec.SECP256R1())
ADDRESS = "2001:db8:1:2:3:4:5:6"
PIN = Pin(443, "ab" * 32)
FIRST = {"ident": 58, "nonce": bytes(8)}


def first(zone, name):
    """Return the first update of a device *name* in *zone*, signed: its address, its key and the pin of its server."""
    return sig0.sign_request(unsigned(zone, name), KEY, n(zone), NOW)


def unsigned(zone, name):
    owner = n(name)
    rows = [
        update.address(owner, ADDRESS, 300),
        (owner, dns.rdatatype.KEY, update.KEY_TTL, keys.key_rdata(KEY)),
        update.tlsa(owner, PIN, 300),
    ]
    return update.records(n(zone), rows, (), **FIRST)


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        ("a.example.", "a.example."),
        ("smith.homes.example.", "cam.smith.homes.example."),
        ("amber-otter.homes.example.net.", "thermostat.amber-otter.homes.example.net."),
    ],
    ids=["the home itself", "a camera", "words"],
)
def test_an_address_a_key_and_a_pin_with_a_p256_signature_fit_into_a_datagram(zone, name):
    """Read by dnspython without the signature, it is those three records."""
    assert len(first(zone, name)) <= DATAGRAM

    said = dns.message.from_wire(unsigned(zone, name))
    assert {(rrset.name.to_text(), rrset.rdtype) for rrset in said.sections[2]} == {
        (name, dns.rdatatype.AAAA), (name, dns.rdatatype.KEY), (f"_443._tcp.{name}", dns.rdatatype.TLSA)
    }  # fmt: skip


def test_where_it_ends():
    """A device may have a label of 63 octets, but not two such labels."""
    label = "d" * 63

    assert len(first("a.example.", f"{label}.a.example.")) <= DATAGRAM
    assert len(first("a.example.", f"{label}.{label}.a.example.")) > DATAGRAM


def test_a_gateways_own_update_with_lease_and_guard_fits_too():
    home, camera = n("smith.homes.example."), n("cam.smith.homes.example.")
    wanted = Device((ADDRESS, "192.0.2.7"), (PIN,), lease=7200, guarded=True)

    octets = sig0.sign_request(update.publish(home, camera, wanted, None, **FIRST), KEY, home, NOW)

    assert len(octets) <= DATAGRAM
