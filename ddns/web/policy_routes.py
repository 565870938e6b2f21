"""Policies for homes: looked at, and changed in part, with kinds of devices and the letters that labels may have."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

from ddns.dns import names
from ddns.dns.names import Name
from ddns.operator import home_policy
from ddns.operator.fault import CannotDo
from ddns.operator.home_policy import Kind
from ddns.operator.home_policy_words import MOST, NONE
from ddns.store import home_policies
from ddns.store.pool import Connection
from ddns.web import refusing
from ddns.web.invitation_routes import the_registry
from ddns.web.rights import POLICY
from ddns.web.routes import Answer, Asked, Means, Refused, Route

_TAG = 32  # hexadecimal digits

_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Label = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Words = Annotated[list[_Word], msgspec.Meta(max_length=1000)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
Number = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Length = Annotated[int, msgspec.Meta(ge=1, le=63)]


class KindShown(msgspec.Struct, frozen=True):
    """A kind of device: names in each home that take only keys of that assurance."""

    kind: str
    labels: list[str]
    least: str


class PolicyShown(msgspec.Struct, frozen=True):
    """What homes in a zone are asked for; times are in seconds."""

    zone: str
    methods: list[str]
    least: str
    owner_required: bool
    expected_only: Annotated[bool, msgspec.Meta(description="Vouchers and evidence count for expected boxes alone.")]
    labels: str
    label_least: int
    label_most: int
    label_style: str
    reserved: list[str]
    idn: list[str]
    rest: int
    lease_most: int | None
    key_lease_most: int | None
    claim_wait: int
    recovery_wait: int
    registry_wait: int
    claim_rest: int
    names_most: int
    records_most: int
    idle: int
    types: Annotated[list[str], msgspec.Meta(description="Types that homes may not write, `A(4)`: no more of.")]
    addresses: Annotated[list[str], msgspec.Meta(description="Networks whose addresses homes may not publish.")]
    kinds: list[KindShown]


class PolicyChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be changed of a policy; what is left out, or null, stays. The words are those of `ddns policy set`."""

    methods: Words | None = None
    least: _Word | None = None
    owner_required: bool | None = None
    expected_only: bool | None = None
    labels: _Word | None = None
    label_least: Length | None = None
    label_most: Length | None = None
    label_style: _Word | None = None
    reserved: Words | None = None
    idn: Words | None = None
    rest: Seconds | None = None
    lease_most: Annotated[Seconds | None, msgspec.Meta(description="0: no bound of its own.")] = None
    key_lease_most: Annotated[Seconds | None, msgspec.Meta(description="0: no bound of its own.")] = None
    claim_wait: Seconds | None = None
    recovery_wait: Seconds | None = None
    registry_wait: Seconds | None = None
    claim_rest: Seconds | None = None
    names_most: Annotated[Number | None, msgspec.Meta(description="Names of a home below its own; 0: no bound.")] = None
    records_most: Annotated[Number | None, msgspec.Meta(description="Records of a home; 0: no bound.")] = None
    idle: Annotated[Seconds | None, msgspec.Meta(description="Without use; 0: nobody is told.")] = None
    types: Words | None = None
    addresses: Words | None = None


class KindWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The names of a kind of device, an asterisk at the end for any rest, and the assurance that they need."""

    labels: Annotated[list[_Label], msgspec.Meta(min_length=1, max_length=home_policy.MOST_PATTERNS)]
    least: _Word


class Letters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The letters of a table: `U+00E0..U+00F6`, `U+00DF`."""

    letters: Annotated[list[_Word], msgspec.Meta(min_length=1, max_length=home_policy.MOST_SPANS)]


class TableShown(msgspec.Struct, frozen=True):
    """A table of letters."""

    table: str
    letters: list[str]


class TableList(msgspec.Struct, frozen=True):
    """The tables that policies may take."""

    tables: list[TableShown]


async def show(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Return the tenant's policy for a zone."""
    return _answer(await _shown(conn, asked))


def _tag(shown: PolicyShown) -> str:
    """Return what names this state of a policy, as a strong ETag (RFC 9110 §8.8.3)."""
    return f'"{hashlib.sha256(msgspec.json.encode(shown)).hexdigest()[:_TAG]}"'


def _answer(shown: PolicyShown) -> Answer:
    return Answer(shown, headers=(("ETag", _tag(shown)),))


async def _heeded(conn: Connection, asked: Asked) -> Name:
    """Return the zone whose policy is to be changed, which stays as If-Match names it until that is done.

    Raises `Refused` where it is not as that says.
    """
    registry = await the_registry(conn, asked.path["zone"])
    wanted = {one.strip() for one in asked.if_match.split(",") if one.strip()}
    await home_policies.lock(conn, asked.tenant, registry.id)
    if wanted and wanted != {"*"} and _tag(await _shown(conn, asked)) not in wanted:
        raise Refused(refusing.policy_changed())
    return registry.origin


async def _shown(conn: Connection, asked: Asked) -> PolicyShown:
    zone = (await the_registry(conn, asked.path["zone"])).origin
    found = await home_policy.show(conn, asked.tenant, zone)
    policy = msgspec.to_builtins(found.policy)
    return msgspec.convert(
        policy
        | {
            "zone": names.to_text(zone),
            "types": found.types,
            "addresses": found.addresses,
            "kinds": [KindShown(one.name, list(one.labels), one.least) for one in found.kinds],
        },
        PolicyShown,
    )


async def change(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Change some of a policy."""
    zone = await _heeded(conn, asked)
    wanted = {key: one for key, one in msgspec.structs.asdict(asked.body).items() if one is not None}
    for key in ("lease_most", "key_lease_most"):
        if wanted.get(key) == 0:
            wanted[key] = NONE
    try:
        await home_policy.change(conn, asked.tenant, zone, wanted)
    except CannotDo as error:
        raise Refused(refusing.field_wrong(str(error).rstrip("."))) from None
    return _answer(await _shown(conn, asked))


async def put_kind(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Say which names in homes are of a kind of device."""
    zone = await _heeded(conn, asked)
    wish: KindWish = asked.body
    try:
        await home_policy.put_kind(conn, asked.tenant, zone, Kind(asked.path["kind"], tuple(wish.labels), wish.least))
    except CannotDo as error:
        raise Refused(refusing.field_wrong(str(error).rstrip("."))) from None
    return _answer(await _shown(conn, asked))


async def remove_kind(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Forget a kind of device."""
    zone = await _heeded(conn, asked)
    try:
        await home_policy.remove_kind(conn, asked.tenant, zone, asked.path["kind"])
    except CannotDo:
        raise Refused(refusing.not_found()) from None
    return Answer(status=204)


async def tables(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Return the tables of letters."""
    found = await home_policy.letters(conn, asked.tenant)
    return Answer(TableList([TableShown(name, [_span(one) for one in table.spans]) for name, table in found.items()]))


def _span(span: tuple[int, int]) -> str:
    return "..".join(f"U+{point:04X}" for point in dict.fromkeys(span))


async def put_table(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Make a table of letters."""
    try:
        spans = home_policy.read_spans(asked.body.letters)
        await home_policy.put_letters(conn, asked.tenant, asked.path["table"], spans)
    except CannotDo as error:
        raise Refused(refusing.field_wrong(str(error).rstrip("."))) from None
    return Answer(TableShown(asked.path["table"], [_span(one) for one in spans]))


async def remove_table(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Remove a table of letters."""
    if asked.path["table"] not in await home_policy.letters(conn, asked.tenant):
        raise Refused(refusing.not_found())
    await home_policy.remove_letters(conn, asked.tenant, asked.path["table"])
    return Answer(status=204)


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/v1/policies/{zone}", summary="Look at what homes in a zone are asked for.", tag="policies",
        right=POLICY, answers={200: PolicyShown}, matches=True, within=show,
    ),
    Route(
        method="PATCH", path="/v1/policies/{zone}", summary="Change what homes in a zone are asked for.",
        tag="policies", right=POLICY, body=PolicyChange, answers={200: PolicyShown}, matches=True, within=change,
    ),
    Route(
        method="PUT", path="/v1/policies/{zone}/kinds/{kind}",
        summary="Have the names of a kind of device take only keys of an assurance.", tag="policies", right=POLICY,
        body=KindWish, answers={200: PolicyShown}, matches=True, within=put_kind,
    ),
    Route(
        method="DELETE", path="/v1/policies/{zone}/kinds/{kind}", summary="Forget a kind of device.", tag="policies",
        right=POLICY, answers={204: None}, matches=True, within=remove_kind,
    ),
    Route(
        method="GET", path="/v1/letters", summary="List the tables of letters that labels may have.", tag="policies",
        right=POLICY, answers={200: TableList}, within=tables,
    ),
    Route(
        method="PUT", path="/v1/letters/{table}", summary="Make a table of letters.", tag="policies", right=POLICY,
        body=Letters, answers={200: TableShown}, within=put_table,
    ),
    Route(
        method="DELETE", path="/v1/letters/{table}", summary="Remove a table of letters.", tag="policies",
        right=POLICY, answers={204: None}, within=remove_table,
    ),
)  # fmt: skip
