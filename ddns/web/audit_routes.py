"""What a maker's log says of a box, for administrators: to how many registries the maker has sent it (RFC 8995 §5.8).

RFC 8995 has the registrar ask the MASA so; here those who run the registry ask the registrar, which asks the MASA with
the box's own request, as it did for the voucher.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ddns.dns.codes import Rcode
from ddns.dns.refusal import Refusal
from ddns.homes import registrar
from ddns.operator import vendors as vendor_words
from ddns.proof import idevid, voucher
from ddns.store import bonds, vouchers
from ddns.web import masa_asking, rights
from ddns.web.routes import Answer, Asked, Means, Refused, Route


class Looked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which box it is about."""

    idevid: Annotated[
        str,
        msgspec.Meta(pattern="^[0-9a-f]{64}$", description="SHA-256 of its certificate, as `/v1/vouchers` says."),
    ]


class AuditLog(msgspec.Struct, frozen=True):
    """What the maker of a box says of it."""

    fresh: Annotated[bool, msgspec.Meta(description="False: the maker gives none now; it is the last that it gave.")]
    domains: Annotated[int, msgspec.Meta(description="How many registries it was sent to; more than one: resold.")]
    log: Annotated[dict[str, Any], msgspec.Meta(description="The maker's own words (RFC 8995 §5.8.1).")]


async def requestauditlog(means: Means, asked: Asked) -> Answer:
    """Ask the maker of a box for its log, and keep it; where it gives none, answer the last that it gave."""
    wanted: Looked = asked.body
    mine = registrar.of(means.secret, means.place.name)
    async with means.transaction(asked.tenant) as conn:
        kept = await vouchers.of_box(conn, asked.tenant, bytes.fromhex(wanted.idevid))
        bond = None if kept is None else await bonds.get(conn, kept.bond)
    if kept is None or bond is None:
        raise Refused(_unknown("No voucher was brought to this box here, so that nobody can be asked about it."))
    found = b""
    media = voucher.media_of(kept.request)
    request, signed = voucher.read_request(kept.request, media)
    if bond.masa_url and signed.signer is not None:
        issuer = idevid.read(signed.signer).issuer
        body = masa_asking.around(request, issuer, kept.request, media, mine, asked.now)
        found = await masa_asking.audit(means, bond, mine, media, body)
    if found:
        async with means.transaction(asked.tenant) as conn:
            await vouchers.note_audit(conn, asked.tenant, kept.idevid, found)
    shown = found or kept.audit
    domains = vendor_words.domains(shown)
    if domains is None:
        raise Refused(_unknown("The maker of this box has given no log of it; ask the maker."))
    return Answer(AuditLog(bool(found), domains, msgspec.json.decode(shown, type=dict[str, Any])))


def _unknown(sentence: str) -> Refusal:
    return Refusal("voucher-unknown", Rcode.NXDOMAIN, sentence)


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST", path="/.well-known/brski/requestauditlog",
        summary="Ask the maker of a box to how many registries it was sent.", tag="vendors", right=rights.VENDORS,
        body=Looked, answers={200: AuditLog}, alone=requestauditlog, seconds=30,
    ),
)  # fmt: skip
