"""What vendors have signed for: accepted by an operator, then kept up to date, narrowed and withdrawn by the vendor.

Law: nothing counts before an operator has accepted it, and no later statement goes beyond what he accepted; only he
accepts more. A statement that was overtaken by a later one, or by a withdrawal, never counts again.
"""

from __future__ import annotations

import msgspec
from psycopg import errors

from ddns.operator import vendors
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo, ThereAlready
from ddns.proof import jwk, jws, statements, vendor_statements
from ddns.proof.bad import BadProof
from ddns.proof.vendor_statements import Authorize, Said, Withdraw
from ddns.store import bonds, home_events, tenants, zones
from ddns.store.bonds import Bond
from ddns.store.home_events import Event


class Terms(msgspec.Struct, frozen=True):
    """What an operator accepts: the most that the vendor's word gives, for which models (none: those that it names).

    *until* in seconds since 1970, None: as long as the vendor says. *widen*: more than was accepted before, if need be.
    """

    assurance: str | None = None
    models: tuple[str, ...] = ()
    until: int | None = None
    widen: bool = False

    @property
    def bound(self) -> bool:
        """Tell whether the operator says more than that the statement counts."""
        return self.assurance is not None or bool(self.models) or self.until is not None


async def accept(conn: Conn, tenant: int, octets: bytes, terms: Terms, who: str, now: int) -> Bond:
    """Have a vendor's statement count for *tenant*, and return its bond. Raises `CannotDo` and `BadProof`."""
    said = await _read(conn, tenant, octets, now)
    scope, known = await _known(conn, tenant, said)
    if known is not None and known.withdrawn_at is None and terms.bound and not terms.widen:
        raise CannotDo(f"The bond {known.id} of this vendor is accepted already; say so where you accept anew: widen.")
    if known is not None and _done(known, said) and not terms.widen:
        return known
    _later(known, said, again=terms.widen)
    if isinstance(said.statement, Withdraw):
        return await _withdraw(conn, known, said, said.statement, octets, who, now)
    if known is None or known.withdrawn_at is not None:
        wanted = _bond(said, said.statement, octets, scope, terms, now)
        try:
            async with conn.transaction():
                return await vendors.keep(conn, wanted, who, now, said.signed.digest)
        except errors.UniqueViolation:
            raise ThereAlready("Somebody else has just accepted a statement of this vendor; send this again.") from None
    return await _change(conn, known, said, said.statement, octets, terms if terms.widen else _of(known), who, now)


async def hear(conn: Conn, tenant: int, octets: bytes, now: int) -> Bond:
    """Take what a vendor says of the bond that *tenant* has with it, and return that. Raises `CannotDo`, `BadProof`.

    Who has no such bond is told so once the signature was found good.
    """
    said = await _read(conn, tenant, octets, now)
    _scope, known = await _known(conn, tenant, said)
    if known is None:
        raise BadProof("bond-missing", "No operator of this registry has accepted a statement of this key; ask one.")
    if _done(known, said):
        return known
    _later(known, said)
    who = f"vendor:{jwk.kid(said.key)}"
    if isinstance(said.statement, Withdraw):
        return await _withdraw(conn, known, said, said.statement, octets, who, now)
    if known.withdrawn_at is not None:
        raise BadProof("bond-withdrawn", "The bond was withdrawn; an operator of this registry has to accept another.")
    return await _change(conn, known, said, said.statement, octets, _of(known), who, now)


async def _read(conn: Conn, tenant: int, octets: bytes, now: int) -> Said:
    """Return what was said, if it is for a registry's zone of *tenant*. Raises `BadProof`."""
    said = vendor_statements.read(octets, now)
    zone = await zones.find(conn, statements.registry_of(said.statement))
    if zone is None or zone.home or not await tenants.may_have_homes(conn, tenant, zone.id):
        raise BadProof("statement-not-for-us", "The statement is for another registry; put this one's zone into aud.")
    return said


async def _known(conn: Conn, tenant: int, said: Said) -> tuple[int | None, Bond | None]:
    """Return whom a bond of *tenant* holds for, and the newest that this key has signed for, locked."""
    scope = vendors.scope(tenant)
    found = await bonds.of_key(conn, scope, jwk.to_json(said.key))
    return scope, found[-1] if found else None


def _same(known: Bond, said: Said) -> bool:
    return known.statement is not None and jws.read(known.statement).digest == said.signed.digest


def _done(known: Bond, said: Said) -> bool:
    """Tell whether just this was taken, and has the effect that it asks for."""
    return _same(known, said) and (known.withdrawn_at is not None) == isinstance(said.statement, Withdraw)


def _later(known: Bond | None, said: Said, *, again: bool = False) -> None:
    """Refuse what was overtaken; an operator may accept the very last statement *again*, while it holds."""
    if known is None or known.said_at is None or said.statement.iat > known.said_at:
        return
    if not (again and _same(known, said) and known.withdrawn_at is None):
        raise BadProof("statement-replayed", "A later statement of this vendor was taken before; make a new one.")


def _of(known: Bond) -> Terms:
    return Terms(known.assurance, known.models_most, known.until_most)


def _bond(said: Said, one: Authorize, octets: bytes, scope: int | None, terms: Terms, now: int) -> Bond:
    """Return the bond that a statement makes on these *terms*, and no more than them. Raises `CannotDo`, `BadProof`."""
    most = terms.models or one.models
    models = tuple(model for model in one.models if model in most) if one.models else most
    if most and not models:
        raise BadProof("bond-wider", "The operator accepted other models of this vendor; ask for these to be accepted.")
    ends = [end for end in (one.until, terms.until) if end is not None]
    anchors, keys, servers = map(vendor_statements.unpacked, (one.anchors, one.masa_keys, one.masa_anchors))
    wanted = Bond(
        0, scope, one.vendor, models, anchors, keys, one.masa_url, servers, terms.assurance or vendors.BY_VOUCHER, now,
        min(ends, default=None), vendor_key=jwk.to_json(said.key), statement=octets, said_at=one.iat,
        models_most=most, until_most=terms.until,
    )  # fmt: skip
    return vendors.checked(wanted, now)


async def _change(
    conn: Conn, known: Bond, said: Said, one: Authorize, octets: bytes, terms: Terms, who: str, now: int
) -> Bond:
    if one.vendor != known.vendor:
        raise BadProof("field-wrong", f"This key is that of {known.vendor}; another vendor needs a key of its own.")
    wanted = _bond(said, one, octets, known.tenant, terms, now)
    if not terms.widen:
        wanted = msgspec.structs.replace(wanted, models_most=known.models_most)
    await bonds.change(conn, msgspec.structs.replace(wanted, id=known.id))
    event = Event(
        at=now, event="bond-changed", who=who, before="bonded", after="bonded", statement=said.signed.digest,
        why=f"bond {known.id}: by the vendor's statement",
    )  # fmt: skip
    await home_events.append(conn, [event])
    return await vendors.the_bond(conn, known.tenant, known.id)


async def _withdraw(
    conn: Conn, known: Bond | None, said: Said, one: Withdraw, octets: bytes, who: str, now: int
) -> Bond:
    if known is None or known.withdrawn_at is not None:
        raise BadProof("bond-missing", "There is no bond that this key could withdraw; look at the list of bonds.")
    await bonds.change(conn, msgspec.structs.replace(known, statement=octets, said_at=one.iat))
    return await vendors.withdraw(conn, known.tenant, known.id, one.reason, who, now, said.signed.digest)


def thumbprint(one: Bond) -> str:
    """Return by what people know the key that signed for a bond; empty: none did."""
    return "" if one.vendor_key is None else jwk.kid(jwk.from_json(one.vendor_key))
