"""Every limit of an update at n and at n + 1."""

from __future__ import annotations

from craft import IN, absent, add, message, rr, work, zone

from ddns.dns.codes import Rcode
from ddns.dns.refusal import Refusal
from ddns.zone.limits import DEFAULT, Limits


def code(content: object, *operations: bytes, limits: Limits, needs: tuple[bytes, ...] = ()) -> str:
    after = work(content, message(*operations, needs=needs), limits=limits)
    if isinstance(after, Refusal):
        assert after.rcode == Rcode.REFUSED
        return after.code
    return ""


def address(host: int) -> bytes:
    return rr("cam", "A", IN, 60, host.to_bytes(4, "big"))


def test_records_per_update():
    """Prerequisites and operations are counted together."""
    limits = Limits(records_per_update=3)

    assert code(zone(), address(1), address(2), needs=(absent("cam"),), limits=limits) == ""
    assert code(zone(), address(1), address(2), address(3), needs=(absent("cam"),), limits=limits) == "too-many-records"


def test_the_default_number_of_records_per_update():
    """A thousand are accepted as the service comes."""
    many = [rr(f"n{host}", "A", IN, 60, bytes(4)) for host in range(DEFAULT.records_per_update + 1)]

    assert code(zone(), *many[:-1], limits=DEFAULT) == ""
    assert code(zone(), *many, limits=DEFAULT) == "too-many-records"


def test_records_per_rrset():
    """One more than the limit is refused, counted with what is there."""
    limits = Limits(records_per_rrset=3)
    content = zone("cam 60 A 192.0.2.1")

    assert code(content, address(1), address(2), limits=limits) == ""
    assert code(content, address(1), address(2), address(3), limits=limits) == "rrset-too-long"


def test_an_imported_rrset_above_the_limit_may_shrink():
    """Limits are for what updates bring: deleting and changing the TTL go on working."""
    limits = Limits(records_per_rrset=1, octets_per_rrset=4)
    content = zone("cam 60 A 192.0.2.1", "cam 60 A 192.0.2.2", "cam 60 A 192.0.2.3")

    assert code(content, rr("cam", "A", 254, 0, bytes((192, 0, 2, 1))), limits=limits) == ""
    assert code(content, add("cam", 90, "A", "192.0.2.1"), limits=limits) == ""


def test_octets_per_rrset():
    """The sum of the data of an RRset is bounded."""
    limits = Limits(octets_per_rrset=8)

    assert code(zone(), address(1), address(2), limits=limits) == ""
    assert code(zone(), address(1), address(2), address(3), limits=limits) == "rrset-too-big"


def test_types_per_name():
    """One more type than the limit is refused; another record of a type that is there is not."""
    limits = Limits(types_per_name=2)
    content = zone("cam 60 A 192.0.2.1")

    assert code(content, add("cam", 60, "TXT", "one"), address(7), limits=limits) == ""
    assert code(content, add("cam", 60, "TXT", "one"), add("cam", 60, "MX", "1 a"), limits=limits) == "too-many-types"


def test_ttl():
    """A TTL above a ceiling that the operator set is refused."""
    limits = Limits(ttl=3600)

    assert code(zone(), add("cam", 3600, "A", "192.0.2.1"), limits=limits) == ""
    assert code(zone(), add("cam", 3601, "A", "192.0.2.1"), limits=limits) == "ttl-too-long"
