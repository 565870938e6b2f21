"""Whether a delegation may be published: the rules, in order, one by one. Pure.

Law: a delegation is published only if whoever follows it, now and with no cache, gets to servers that answer for the
child, all of them the same, and validates what they say. So every listed server is asked first (RFC 9975 §3), and one
that does not answer is not one that agrees. The same rules hold for every way in: a signed UPDATE, CDS, CSYNC, and the
registry's own people. `Fault.rule` names the one that was broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ddns.dns import ds as signer
from ddns.dns import names
from ddns.dns.names import Name
from ddns.zone import proof
from ddns.zone.child import GLUE_TYPES, Child, Fault, ServerSaid, Verify, glue_addresses, is_public

MOST_SERVERS = 13  # as many as a referral over UDP has room for
MOST_DS = 8  # four keys with two digests each
MOST_KEYS = 16  # records of a DNSKEY RRset
MOST_ADDRESSES = 8  # of one server
LONGEST_KEYS = 172_800  # seconds: a roll, or the way home, takes longer than the TTL of the keys


def acceptable(
    origin: Name,
    registry: Name,
    wanted: Child,
    said: Sequence[ServerSaid],
    verify: Verify,
    now: int,
    *,
    private: bool = False,
    insecure: bool = False,
) -> Fault | None:
    """Return why the registry may not publish *wanted* for its child *origin*; None where it may.

    *said* is what the servers of *wanted* said a moment ago, every one at every address. *private*: addresses that
    nobody can reach from afar are fine. *insecure*: the owner has said that the child is to have no DS.
    """
    fault = askable(origin, registry, wanted, private=private)
    if fault is None and not wanted.ds and not insecure:
        fault = Fault("unsigned", f"{_text(origin)} would have no DS, and nobody has asked for that; give its DS.")
    return fault or answering(origin, wanted, said, verify, now, private=private)


def askable(origin: Name, registry: Name, wanted: Child, *, private: bool = False) -> Fault | None:
    """Return what is wrong with *wanted* before anybody is asked."""
    return next(_form(origin, registry, wanted, private=private), None)


def answering(
    origin: Name,
    wanted: Child,
    said: Sequence[ServerSaid],
    verify: Verify,
    now: int,
    *,
    private: bool = False,
) -> Fault | None:
    """Return what is wrong with what the servers of *wanted* *said*."""
    return next(_answers(origin, wanted, said, verify, now, private=private), None)


def _form(origin: Name, registry: Name, wanted: Child, *, private: bool) -> Iterator[Fault]:
    text = _text(origin)
    if origin == registry or not names.is_subdomain(origin, registry):
        yield Fault("other-name", f"{text} is not below {_text(registry)}, so it is not delegated from there.")
    if not wanted.servers:
        yield Fault("no-server", f"A delegation of {text} needs at least one server; give its NS records.")
    if len(set(wanted.servers)) > MOST_SERVERS:
        yield Fault("too-many", f"{text} may have {MOST_SERVERS} servers at most.")
    if len(wanted.ds) > MOST_DS:
        yield Fault("too-many", f"{text} may have {MOST_DS} DS records at most.")
    for rrset in wanted.glue:
        if rrset.type not in GLUE_TYPES or not names.is_subdomain(rrset.name, origin):
            yield Fault("glue-outside", f"{_text(rrset.name)} is not below {text}; its own zone gives its addresses.")
        if rrset.name not in wanted.servers:
            yield Fault("glue-outside", f"{_text(rrset.name)} is none of the servers of {text}; give no addresses.")
    addresses = glue_addresses(wanted)
    for server in wanted.servers:
        if names.is_subdomain(server, origin) and not addresses.get(server):
            yield Fault("no-address", f"{_text(server)} is below {text}, so nobody finds it; give its addresses.")
        if len(addresses.get(server, ())) > MOST_ADDRESSES:
            yield Fault("too-many", f"{_text(server)} may have {MOST_ADDRESSES} addresses at most.")
        for address in addresses.get(server, ()):
            if not private and not is_public(address):
                yield Fault("private", f"{address} of {_text(server)} cannot be reached from elsewhere.")
    for one in wanted.ds:
        if not signer.is_usable(one):
            yield Fault(
                "digest", f"A DS of {text} has no digest of type 2 (SHA-256) or 4 (SHA-384); make one that has."
            )


def _answers(
    origin: Name, wanted: Child, said: Sequence[ServerSaid], verify: Verify, now: int, *, private: bool
) -> Iterator[Fault]:
    addresses = glue_addresses(wanted)
    heard = [one for one in said if one.server in wanted.servers]
    for server in wanted.servers:
        asked = {one.address for one in heard if one.server == server}
        missing = set(addresses.get(server, ())) - asked
        if missing or not asked:
            where = f"{_text(server)} {min(missing)}" if missing else _text(server)
            yield Fault("lame", f"{where} has not been asked; nobody knows an address of it.")
    for one in heard:
        if one.problem:
            yield Fault("lame", f"{one.who} {one.problem}.")
        if not private and not is_public(one.address):
            yield Fault("private", f"{one.address} of {_text(one.server)} cannot be reached from elsewhere.")
        if not one.authoritative or one.soa is None or one.serial is None:
            yield Fault("lame", f"{one.who} does not answer for {_text(origin)}.")
        if one.servers != frozenset(wanted.servers):
            shown = _list(one.servers) or "none"
            yield Fault(
                "differs", f"{one.who} shows these servers of {_text(origin)}: {shown}, not those to be listed."
            )
    for one in heard[1:]:
        if one.keys != heard[0].keys:
            yield Fault("differs", f"{one.who} shows other keys of {_text(origin)} than {heard[0].who}.")
    for one in heard:
        if one.dnskey is not None and one.dnskey.ttl > LONGEST_KEYS:
            yield Fault("ttl", f"{one.who} gives the keys of {_text(origin)} a TTL above {LONGEST_KEYS} s; lower it.")
        if len(one.keys) > MOST_KEYS:
            yield Fault("too-many", f"{one.who} shows more than {MOST_KEYS} keys of {_text(origin)}.")
        reason = proof.unproved(origin, wanted.ds, one.dnskey, one.soa, "SOA", verify, now) if wanted.ds else ""
        if reason:
            yield Fault("bogus", f"{one.who} {reason}; {_text(origin)} would be bogus.")


def _list(servers: Iterable[Name]) -> str:
    return ", ".join(sorted(_text(one) for one in servers))


def _text(name: Name) -> str:
    return names.to_text(name)
