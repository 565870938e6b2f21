"""Look whether a zone is well: signed, up to date, far from expiry, and known to its parent."""

from __future__ import annotations

import struct

import msgspec

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.operator.change import Conn
from ddns.operator.zones import all_published, the_zone
from ddns.store import delegations, published, signing
from ddns.store.zones import Zone
from ddns.zone.ds import ds_rdata
from ddns.zone.hand import State

SOON = 86400  # seconds before the first expiry in which a refresh is overdue
_EXPIRATION = struct.Struct("!I")  # of an RRSIG's RDATA, at 8 (RFC 4034 §3.1)
_UNSIGNED = frozenset({int(Type.NS), int(Type.A), int(Type.AAAA)})  # at and below cuts (RFC 4035 §2.2)


class Report(msgspec.Struct, frozen=True):
    """What a look at a zone found; *problems* are sentences, none where all is well.

    *keys* are the tags of its signing keys, *ds* the DS for the parent's zone, several while keys roll; *first_expiry*
    is in seconds since 1970, None where nothing is signed; *delegation* is what the parent's zone here says: `secure`,
    `insecure`, `wrong`, `missing`, or empty where the parent is not here; of a home that has servers of its own, or is
    on its way there or back, how far that has come, such as `away`.
    """

    zone: Zone
    rrsets: int
    signed: int
    first_expiry: int | None
    keys: tuple[int, ...]
    ds: tuple[Rdata, ...]
    delegation: str
    problems: tuple[str, ...]


async def check(conn: Conn, origin: Name, now: int) -> Report:
    """Look at what the zone publishes at *now* (seconds since 1970). Raises `CannotDo` where there is no zone."""
    zone = await the_zone(conn, origin)
    rrsets = signed = 0
    bare: list[str] = []
    first: int | None = None
    cuts: Name | None = None
    async for one in all_published(conn, zone.id):
        rrsets += 1
        if one.type == Type.NS and one.name != origin:
            cuts = one.name
        if one.sigs:
            signed += 1
            expiry = min(_expiry(sig, now) for sig in one.sigs)
            first = expiry if first is None else min(first, expiry)
        elif not (one.type in _UNSIGNED and cuts is not None and names.is_subdomain(one.name, cuts)):
            bare.append(names.to_text(one.name))
    held = await signing.keys_public(conn, zone.id)
    ds = tuple(ds_rdata(origin, public) for public in await signing.named_by_the_parent(conn, zone.id))
    delegation = await _delegation(conn, zone, ds)
    # A copy is withdrawn before its signatures end: they are not ours to renew.
    ends = None if zone.presigned else first
    problems = list(_problems(zone, ends, now, delegation, wants_ds=bool(ds)))
    if zone.denial != "none" and zone.edition and bare and not zone.presigned:
        problems.append(f"{len(bare)} RRsets have no signature, the first at {bare[0]}; run `zone-signer once`")
    return Report(zone, rrsets, signed, first, tuple(key[0] for key in held), ds, delegation, tuple(problems))


def _expiry(sig: Rdata, now: int) -> int:
    """Return when a signature ends, in seconds since 1970: its field counts modulo 2**32 (RFC 4034 §3.1.5)."""
    (expiration,) = _EXPIRATION.unpack_from(sig, 8)
    ahead = (int(expiration) - now) & 0xFFFFFFFF
    return now + (ahead if ahead < 0x80000000 else ahead - 0x100000000)


async def _delegation(conn: Conn, zone: Zone, ds: tuple[Rdata, ...]) -> str:
    if zone.parent is None:
        return ""
    found = (await published.read_names(conn, [(zone.parent, zone.origin)])).get((zone.parent, zone.origin), ())
    held = next((one.rdatas for one in found if one.type == Type.DS), ())
    if not any(one.type == Type.NS for one in found):
        return "missing"
    turning = (await delegations.read(conn, [zone.id])).get(zone.id)
    if turning is not None and turning.state is not State.HOSTED:
        return str(turning.state)
    if not held:
        return "insecure"
    return "secure" if set(held) & set(ds) else "wrong"


def _problems(zone: Zone, first: int | None, now: int, delegation: str, *, wants_ds: bool) -> list[str]:
    found = []
    if zone.denial != "none" and zone.edition == 0:
        found.append("nothing is published yet: the zone waits for the signer; start `ddns serve` or `zone-signer run`")
    elif zone.signed_pending:
        found.append("changes wait for the signer; start `ddns serve` or `zone-signer run`")
    if first is not None and first <= now:
        cure = "start the signer and look at its log" if zone.denial != "none" else "sign the zone anew and import it"
        found.append(f"signatures have expired, so validators refuse the zone; {cure}")
    elif first is not None and first <= now + SOON and zone.denial != "none":
        found.append("signatures expire within a day and were not renewed; look at the signer's log")
    sentences = {
        "missing": "the registry's zone does not delegate it",
        "insecure": "the registry's zone holds no DS for it, so nobody can validate it; run `zone-signer once`",
        "wrong": "the registry's zone holds a DS of another key, so validators refuse it; run `zone-signer once`",
    }
    if delegation in sentences and not (delegation == "insecure" and not wants_ds):
        found.append(sentences[delegation])
    return found
