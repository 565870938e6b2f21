"""The file that `ddns apply` reads: what a registry has, from its zones and keys to whose word counts in it.

Law: an unknown table or setting is an error that names it; paths are relative to the file; every error
names the table by its number and its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ddns import tomlfile
from ddns.auth import keyfile, keys
from ddns.auth.principal import DEFAULT_ASSURANCE, Credential, Grant
from ddns.dns.names import Name
from ddns.operator import grants, policy_words, transfer_rules, transfers, words
from ddns.operator.apply_people import REGISTRY, WantedPolicy, WantedTenant, read_policy
from ddns.operator.apply_vendors import WantedBond, WantedVerifier, read_bond, read_verifier
from ddns.operator.apply_webhooks import WantedWebhook, read_webhook
from ddns.operator.compact import cannot_be_transferred
from ddns.operator.fault import CannotDo
from ddns.operator.files import check_key, small_text
from ddns.operator.keys import read_algorithm, read_assurance, read_secret
from ddns.zone import compact

_Wanted = TypeVar("_Wanted")
_SECRET_LINE = re.compile(r'secret\s+"?([A-Za-z0-9+/=]+)"?\s*;')


class _Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    algorithm: str | None = None
    secret: str | None = None
    secret_file: str | None = None
    sig0: str | None = None
    assurance: str | None = None


class _Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    rule: str | None = None
    name: str | None = None
    types: tuple[str, ...] | None = None
    min_assurance: str | None = None
    deny: str | None = None
    homes: bool = False
    addresses: tuple[str, ...] | None = None


class _Transfer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    notify_key: str | None = None


class _Zone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    file: str
    denial: str = words.DEFAULT_DENIAL
    algorithm: int = words.DEFAULT_ALGORITHM
    grants: tuple[_Grant, ...] | None = None
    transfer: _Transfer | None = None
    transfer_homes: _Transfer | None = None
    signing: str | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    signing: tuple[dict[str, Any], ...] = ()
    key: tuple[_Key, ...] = ()
    zone: tuple[_Zone, ...] = ()
    tenant: tuple[WantedTenant, ...] = ()
    policy: tuple[dict[str, Any], ...] = ()
    bond: tuple[dict[str, Any], ...] = ()
    verifier: tuple[dict[str, Any], ...] = ()
    webhook: tuple[dict[str, Any], ...] = ()


class WantedGrant(msgspec.Struct, frozen=True):
    """A rule of the file, without its zone's id: for the key *key*, None: everybody."""

    key: Name | None
    rule: Grant


class WantedZone(msgspec.Struct, frozen=True):
    """A zone of the file. *where* is how errors call it.

    *grants*, *transfer*, *transfer_homes* and *signing*, its policy's name, are None where the file is silent about
    them.
    """

    where: str
    origin: Name
    path: Path
    shown: str
    denial: str
    algorithm: int
    grants: tuple[WantedGrant, ...] | None
    transfer: transfer_rules.Wanted | None = None
    transfer_homes: transfer_rules.Wanted | None = None
    signing: str | None = None


class Wanted(msgspec.Struct, frozen=True):
    """What the registry should have: *keys* without ids, TSIG secrets open; *notes* are sentences for the operator.

    *assured* are the places in *keys* of those whose tables state an assurance. *policies* are signing policies by
    name, each with what its table says. *tenants* and what follows are brought there after the zones.
    """

    keys: tuple[Credential, ...]
    zones: tuple[WantedZone, ...]
    notes: tuple[str, ...]
    assured: frozenset[int] = frozenset()
    policies: Mapping[str, Mapping[str, policy_words.Value]] = {}
    tenants: tuple[WantedTenant, ...] = ()
    home_policies: tuple[WantedPolicy, ...] = ()
    bonds: tuple[WantedBond, ...] = ()
    verifiers: tuple[WantedVerifier, ...] = ()
    webhooks: tuple[WantedWebhook, ...] = ()


def read(path: Path) -> Wanted:
    """Read and check the registry file *path*, but not the master files that it names. Raises `CannotDo`."""
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise CannotDo(f"{path} cannot be read ({error.strerror or error}); check the path.") from None
    try:
        file = tomlfile.parse(octets, str(path), _File)
    except tomlfile.BadToml as error:
        raise CannotDo(f"{error}.") from None
    policies = _policies(path, file.signing)
    credentials = _keys(path, file.key)
    zones = _zones(path, file.zone)
    assured = frozenset(place for place, table in enumerate(file.key) if table.assurance is not None)
    here = path.parent
    return Wanted(
        credentials, zones, (), assured, policies, file.tenant,
        _tables(path, "policy", "zone", file.policy, read_policy),
        _tables(path, "bond", "vendor", file.bond, lambda table: read_bond(here, table)),
        _tables(path, "verifier", "name", file.verifier, lambda table: read_verifier(here, table)),
        _tables(path, "webhook", "url", file.webhook, lambda table: read_webhook(here, table)),
    )  # fmt: skip


def _tables(
    path: Path, noun: str, key: str, tables: tuple[dict[str, Any], ...], read_one: Callable[[dict[str, Any]], _Wanted]
) -> tuple[_Wanted, ...]:
    """Return what tables of one kind say; errors name the table by its number and its *key*."""
    out: list[_Wanted] = []
    places: dict[Any, int] = {}
    for number, table in enumerate(tables, 1):
        where = f"{path}: [[{noun}]] number {number} ({table.get(key)})"
        try:
            out.append(read_one(table))
        except CannotDo as error:
            raise CannotDo(f"{where}: {error}") from None
        place = places.setdefault((table.get("tenant", REGISTRY), table.get(key)), number)
        if place != number and noun != "policy":  # two tables of one policy may speak of different settings
            raise CannotDo(f"{where}: number {place} is about the same; remove one of them.")
    return tuple(out)


def _policies(path: Path, tables: tuple[dict[str, Any], ...]) -> dict[str, Mapping[str, policy_words.Value]]:
    out: dict[str, Mapping[str, policy_words.Value]] = {}
    for number, table in enumerate(tables, 1):
        where = f"{path}: [[signing]] number {number} ({table.get('name')})"
        settings = {key: value for key, value in table.items() if key != "name"}
        try:
            name = policy_words.read_policy_name(table.get("name", ""))
            policy_words.read_values(settings)
        except CannotDo as error:
            raise CannotDo(f"{where}: {error}") from None
        if name in out:
            raise CannotDo(f"{where}: another table has this name; remove one of them.")
        out[name] = settings
    return out


def _keys(path: Path, tables: tuple[_Key, ...]) -> tuple[Credential, ...]:
    out = []
    places: dict[Any, int] = {}
    for number, table in enumerate(tables, 1):
        where = f"{path}: [[key]] number {number} ({table.name})"
        try:
            key = _key(path, table)
        except CannotDo as error:
            raise CannotDo(f"{where}: {error}") from None
        # A name may have several public keys, but only one secret.
        place = places.setdefault((key.name, key.kind, key.public), number)
        if place != number:
            raise CannotDo(f"{where}: number {place} is the same key; remove one of them.")
        out.append(key)
    return tuple(out)


def _key(path: Path, table: _Key) -> Credential:
    name = words.read_name(table.name, "key name")
    assurance = DEFAULT_ASSURANCE if table.assurance is None else read_assurance(table.assurance)
    if table.sig0 is not None:
        if table.secret is not None or table.secret_file is not None or table.algorithm is not None:
            raise CannotDo("A key has either sig0, or algorithm and secret; remove one of them.")
        return _sig0(name, table.sig0, assurance)
    if (table.secret is None) is (table.secret_file is None):
        raise CannotDo("A key needs one of secret, secret_file and sig0; write exactly one.")
    if table.algorithm is None:
        raise CannotDo('A shared secret needs its algorithm; write algorithm = "hmac-sha256".')
    text = table.secret
    if text is None:
        text = _secret_of(small_text(path.parent / str(table.secret_file)))
    algorithm = read_algorithm(table.algorithm)
    return Credential(0, name, "tsig", algorithm, secret=read_secret(text), assurance=assurance)


def _sig0(name: Name, text: str, assurance: str) -> Credential:
    try:
        rdata = keyfile.read_rdata(text.split())
    except keys.BadKey as error:
        raise CannotDo(f"{error}.") from None
    algorithm, tag = check_key(rdata, "sig0")
    return Credential(0, name, "sig0", str(algorithm), tag=tag, public=rdata, assurance=assurance)


def _secret_of(text: str) -> str:
    """Return the base64 of a secret file: alone, or in a key file as BIND's tools write it."""
    quoted = _SECRET_LINE.search(text)
    return quoted[1] if quoted else text


def _zones(path: Path, tables: tuple[_Zone, ...]) -> tuple[WantedZone, ...]:
    out = []
    places: dict[Name, int] = {}
    for number, table in enumerate(tables, 1):
        where = f"{path}: [[zone]] number {number} ({table.name})"
        try:
            zone = _zone(path, where, table)
        except CannotDo as error:
            raise CannotDo(f"{where}: {error}") from None
        place = places.setdefault(zone.origin, number)
        if place != number:
            raise CannotDo(f"{where}: number {place} is the same zone; remove one of them.")
        out.append(zone)
    return tuple(out)


def _zone(path: Path, where: str, table: _Zone) -> WantedZone:
    origin = words.read_name(table.name, "zone name")
    if table.algorithm not in words.ALGORITHMS:
        raise CannotDo(f"Algorithm {table.algorithm} does not sign here; choose {words.ALGORITHMS_TOLD}.")
    granted = None if table.grants is None else tuple(_grant(origin, one) for one in table.grants)
    denial = words.read_denial(table.denial)
    rules = _transfer(table.transfer), _transfer(table.transfer_homes)
    if denial == compact.DENIAL and any(one is not None and (one.keys or one.addresses or one.notify) for one in rules):
        raise cannot_be_transferred(origin, homes=False)
    policy = None if table.signing is None else policy_words.read_policy_name(table.signing)
    return WantedZone(
        where, origin, path.parent / table.file, table.file, denial, table.algorithm, granted, *rules, policy
    )


def _transfer(table: _Transfer | None) -> transfer_rules.Wanted | None:
    if table is None:
        return None
    key = None if table.notify_key is None else words.read_name(table.notify_key, "key name")
    return transfer_rules.Wanted(
        tuple(words.read_name(one, "key name") for one in table.keys),
        tuple(transfers.read_prefix(one) for one in table.addresses),
        tuple(transfers.read_place(one, key) for one in table.notify),
    )


def _grant(origin: Name, table: _Grant) -> WantedGrant:
    key = grants.read_key(table.key)
    terms = grants.Terms(
        table.rule, table.name, table.types, table.min_assurance, table.deny, table.homes, table.addresses
    )
    try:
        return WantedGrant(key, grants.read(origin, key, terms))
    except CannotDo as error:
        raise CannotDo(f"the grant for the key {table.key}: {error}") from None
