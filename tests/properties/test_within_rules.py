"""Denials within homes and of networks, against a second reading: nothing that is denied there is ever written."""

from __future__ import annotations

import fnmatch
import ipaddress

from hypothesis import given, settings
from hypothesis import strategies as st

from ddns.auth.grants import Rules
from ddns.auth.principal import ASSURANCES, Credential, Grant
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import RRset
from ddns.zone.changes import RRsetChange

REGISTRY, HOME, HOME_ZONE = names.from_text("homes.example."), names.from_text("smith.homes.example."), 9
WORDS = ["lock", "lock-1", "cam", "l", "smith", "homes"]
NETWORKS = ["10.0.0.0/8", "10.9.0.0/16", "192.0.2.0/25", "fd00::/8", "2001:db8::/33", "::/127", "0.0.0.0/0"]
ADDRESSES = [
    "10.0.0.0", "10.9.255.255", "10.255.255.255", "11.0.0.0", "192.0.2.127", "192.0.2.128", "::1", "::2",
    "fd00::", "fe00::", "2001:db8:7fff::", "2001:db8:8000::", "::ffff:10.9.0.1", "a00::",
]  # fmt: skip

paths = st.lists(st.sampled_from(WORDS), max_size=3)
patterns = st.tuples(st.sampled_from([*WORDS, "lock-*", "l*", "*"]), st.lists(st.sampled_from(WORDS), max_size=1))


@st.composite
def denial(draw) -> Grant:
    first, rest = draw(patterns)
    addresses = tuple(draw(st.lists(st.sampled_from(NETWORKS), max_size=2, unique=True)))
    return Grant(
        zone=7,
        name=names.from_text(".".join([first, *rest, "homes.example."])),
        types=frozenset({1, 28}) if addresses else draw(st.none() | st.just(frozenset({1})) | st.just(frozenset({28}))),
        rule="within",
        min_assurance=draw(st.none() | st.sampled_from(ASSURANCES)),
        denied="no",
        homes=True,
        id=draw(st.integers(1, 99)),
        addresses=addresses,
    )


# -- the second reading: texts from the right, and the standard library's own networks


def speaks(one: Grant, path: list[str]) -> bool:
    wanted = names.to_text(one.name).removesuffix(".homes.example.").split(".")[::-1]
    asked = path[::-1][: len(wanted)]
    return len(asked) == len(wanted) and all(map(fnmatch.fnmatchcase, asked, wanted))


def lies_in(one: Grant, address: str) -> bool:
    here = ipaddress.ip_address(address)
    mapped = getattr(here, "ipv4_mapped", None)
    return any(
        here in network or (mapped is not None and mapped in network)
        for network in map(ipaddress.ip_network, one.addresses)
    )


def denied(some: list[Grant], assurance: str, path: list[str], rdtype: int, address: str) -> bool:
    return any(
        speaks(one, path)
        and (one.types is None or rdtype in one.types)
        and (one.min_assurance is None or ASSURANCES.index(assurance) < ASSURANCES.index(one.min_assurance))
        and (not one.addresses or lies_in(one, address))
        for one in some
    )


@settings(max_examples=600, deadline=None)
@given(st.lists(denial(), max_size=4), st.sampled_from(ASSURANCES), paths, st.sampled_from(ADDRESSES))
def test_an_address_is_written_in_a_home_just_where_nothing_denies_it(some, assurance, path, address):
    """The home's own key may write all of its zone, so only denials of the registry are in its way."""
    octets = ipaddress.ip_address(address).packed
    rdtype = int(Type.A) if len(octets) == 4 else int(Type.AAAA)
    where = names.from_text(".".join([*path, "smith.homes.example."]))
    key = Credential(1, HOME, "sig0", "13", home=HOME_ZONE, assurance=assurance)
    there = [bound for one in some if (bound := one.for_home(HOME)) is not None]

    rules = Rules(key, HOME_ZONE, HOME, is_home=True, everybody=there)
    refusal = rules.refuse([(where, rdtype)]) or rules.refuse_outcome(
        [RRsetChange(where, rdtype, None, RRset(where, rdtype, 60, (octets,)))]
    )

    assert (refusal is not None) == denied(some, assurance, path, rdtype, address)
