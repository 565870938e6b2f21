"""Leases and registrations without a database: what holds after any updates, and for any operations."""

from __future__ import annotations

import craft
import leasing
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ddns.auth import keys
from ddns.dns.codes import Rcode, Type
from ddns.dns.refusal import Refusal
from ddns.zone import lease, srp, update
from ddns.zone.lease import Granted, Leases
from ddns.zone.request import Asked
from ddns.zone.srp import Registration
from ddns.zone.update import Update
from ddns.zone.view import View

KEY = keys.key_rdata(ec.derive_private_key(3, ec.SECP256R1()), 0)
OTHER = keys.key_rdata(ec.derive_private_key(4, ec.SECP256R1()), 0)
OWNERS = ("pi", "po", "lp._ipp._tcp", "web._http._tcp", "_ipp._tcp", "_x._sub._ipp._tcp", "@")

seconds = st.sampled_from([0, 30, 60, 600])
added = st.one_of(
    st.builds(craft.add, st.sampled_from(OWNERS), st.sampled_from([20, 90, 9000]), st.just("A"),
              st.sampled_from(["192.0.2.1", "192.0.2.2"])),
    st.builds(craft.add, st.sampled_from(OWNERS), st.just(90), st.just("PTR"), st.sampled_from(OWNERS)),
    st.builds(craft.add, st.sampled_from(OWNERS), st.just(90), st.just("SRV"),
              st.sampled_from(["0 0 1 pi", "0 0 1 po"])),
    st.builds(craft.add, st.sampled_from(OWNERS), st.just(90), st.just("TXT"), st.just("x")),
    st.builds(lambda owner, key: craft.rr(owner, "KEY", craft.IN, 90, key), st.sampled_from(OWNERS),
              st.sampled_from([KEY, OTHER])),
)  # fmt: skip
deleted = st.builds(craft.delete, st.sampled_from(OWNERS), st.sampled_from(["ANY", "A", "PTR"]))
some = st.lists(st.one_of(added, deleted), max_size=6)


def parsed(operations, *asked) -> Update:
    read = update.parse(craft.message(*operations, additional=[leasing.lease(*asked)] if asked else []))
    assert isinstance(read, Update)
    return read


@given(st.lists(st.tuples(some, st.none() | st.tuples(seconds, seconds)), max_size=5))
def test_no_rrset_outlives_its_shortest_lease_and_what_is_gone_has_none(updates):
    """After any updates, leased or not, in one batch."""
    view = View({craft.name(owner): () for owner in OWNERS} | dict(craft.zone()))
    leases = Leases({})
    for operations, asked in updates:
        wanted = parsed(operations, *(asked or ()))
        granted = lease.grant(wanted.lease, lease.DEFAULT) if wanted.lease else None
        shaped = lease.shaped(wanted.operations, granted, craft.ORIGIN) if granted else wanted.operations
        changes = update.apply(replace(wanted, operations=shaped), view, signed=False)
        assert not isinstance(changes, Refusal)
        view.apply(leases.settle(craft.ORIGIN, shaped, changes, view, granted))

    for name, rdtype, rdata in leases.puts():
        rrset = view.rrset(name, rdtype)
        assert rrset is not None
        assert rdata in rrset.rdatas
        assert rrset.ttl <= leases.puts()[name, rdtype, rdata].seconds
    assert not set(leases.dropped()) & set(leases.puts())


@given(st.integers(0, 2**32 - 1), st.none() | st.integers(0, 2**32 - 1))
def test_what_is_granted_lies_within_the_bounds(asked, key):
    got = lease.grant(Asked(asked, key), lease.DEFAULT)

    assert got.lease == 0 if asked == 0 else 30 <= got.lease <= 86400
    assert got.key_lease >= got.lease
    assert got.key_lease <= 1209600
    assert len(got.option()) == (4 if key is None else 8)


@given(st.lists(st.binary(max_size=12), max_size=3))
def test_any_octets_in_the_option_are_read_or_a_format_error(options):
    opt = leasing.wire.opt(1232, do=False, options=tuple((leasing.LEASE, octets) for octets in options))

    read = update.parse(craft.message(craft.delete("pi"), additional=[opt]))

    if isinstance(read, Refusal):
        assert read.rcode == Rcode.FORMERR
        assert len(options) > 1 or len(options[0]) not in (4, 8)
    else:
        assert (read.lease is None) == (not options)


PARTS = [
    leasing.host("pi", ec.derive_private_key(3, ec.SECP256R1()), "192.0.2.1"),
    leasing.service("lp", "_ipp._tcp", "pi", subtypes=("_x",)),
    leasing.service("web", "_http._tcp", "pi"),
    [craft.delete("lp._ipp._tcp"), craft.delete_record("_ipp._tcp", "PTR", "lp._ipp._tcp")],
]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3), some, seconds, st.randoms(use_true_random=False))
def test_a_registration_writes_its_own_names_and_no_others(parts, more, asked, dice):
    """Whatever is mixed in and left out: what is taken for a registration is one (RFC 9665 §3.3.1)."""
    operations = [one for part in parts for one in part]
    for one in more:
        operations.insert(dice.randint(0, len(operations)), one)
    wanted = parsed(operations, asked, 1209600)

    found = srp.read(wanted, craft.name("pi"))

    if not isinstance(found, Registration):
        return
    assert (found.host, found.key) == (craft.name("pi"), KEY)
    granted = Granted(asked, 1209600)
    view = View({craft.name(owner): () for owner in (*OWNERS, "_http._tcp")} | dict(craft.zone()))
    assert srp.taken(found, view, Leases({})) is None
    done = srp.operations(found, wanted.operations, view, granted, ())
    shaped = lease.shaped(done, granted, craft.ORIGIN)
    changes = update.apply(replace(wanted, operations=shaped), view, signed=True)
    assert not isinstance(changes, Refusal)
    own = {found.host, *found.described, *found.removed}
    for change in changes.changes:
        assert change.name in own or change.type == Type.PTR
        if change.type == Type.PTR:
            assert change.after is not None
            assert set(change.after.rdatas) <= own
    view.apply(changes)
    for name in (found.host, *found.described):
        key = view.rrset(name, Type.KEY)
        assert key is not None
        assert key.rdatas == (KEY,)
