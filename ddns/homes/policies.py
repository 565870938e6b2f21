"""What a tenant's policy means for a home that is to be: how it may enrol, and how it may be called."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from ddns.auth.principal import ASSURANCES
from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal
from ddns.homes.labels import LabelRules
from ddns.homes.tables import TABLES, Table, joined
from ddns.store import home_policies
from ddns.store.home_policies import HomePolicy

METHODS = ("invitation", "qr", "voucher", "attested")  # ways to enrol that a policy takes or leaves out


def admits(policy: HomePolicy, method: str, assurance: str, *, has_owner: bool) -> Refusal | None:
    """Refuse a home that would come by *method* with a key of this *assurance*, unless *policy* takes it so."""
    if method not in policy.methods:
        return _refused(
            "method-not-allowed-here",
            f"Homes here do not enrol by {method} but by {' or '.join(policy.methods) or 'nothing'}; ask the registry.",
        )
    if ASSURANCES.index(assurance) < ASSURANCES.index(policy.least):
        return _refused(
            "assurance-below-policy",
            f"Homes here need keys of the assurance {policy.least} or more, and this one would have {assurance}; "
            "show more about the box, or ask the registry.",
        )
    if policy.owner_required and not has_owner:
        return _refused(
            "owner-key-needed",
            "Homes here have an owner from the beginning; have the owner's key sign beside the box's.",
        )
    return None


def _refused(code: str, text: str) -> Refusal:
    return Refusal(code, Rcode.REFUSED, text, Ede.PROHIBITED)


async def tables(conn: AsyncConnection[Any], tenant: int) -> dict[str, Table]:
    """Return the tables of letters that a tenant may use, by name: those that come with us, and stored ones."""
    stored = await home_policies.tables(conn, tenant)
    return TABLES | {name: Table(name, joined(spans)) for name, spans in stored.items()}


async def label_rules(conn: AsyncConnection[Any], tenant: int, policy: HomePolicy) -> LabelRules:
    """Return what *policy* asks of labels, with the letters of its tables."""
    known = TABLES if all(one in TABLES for one in policy.idn) else await tables(conn, tenant)
    allowed = tuple(known[one] for one in policy.idn if one in known)
    return LabelRules(policy.label_least, policy.label_most, policy.reserved, allowed)
