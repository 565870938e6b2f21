"""`ddns grant`: add, deny, list, show, remove, check."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ddns.auth.principal import ASSURANCES, RULES, Grant
from ddns.cli.shell import count, database_options, json_option, print_json, print_table, run, shown
from ddns.database import Database
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.spelling import type_to_text
from ddns.operator import grants, words
from ddns.operator.grants import EVERYBODY, Found, Terms
from ddns.store.grants import Listed
from ddns.store.pool import Connection

_REFUSED = 1  # exit status of a check that finds the write refused

_NAME = click.option("--name", metavar="NAME", help="The name that the rule speaks of.")
_TYPES = click.option(
    "--types", metavar="A,AAAA(2),...", help="Only these record types, and of each so many records at a name."
)
_RULE = click.option(
    "--rule", metavar="RULE", help=f"{', '.join(RULES)}; default: zone, and with --name subdomain."
)  # fmt: skip


@click.group()
def command() -> None:
    """Say which key may write what."""


def _terms_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--min-assurance", metavar="LEVEL", help=f"{', '.join(ASSURANCES)}, from the least on."),
        _TYPES,
        _NAME,
        _RULE,
    ):
        function = option(function)
    return function


@command.command()
@click.argument("key")
@click.argument("zone")
@_terms_options
@click.option("--acme", is_flag=True, help="Short for --rule acme: only TXT at _acme-challenge of NAME and below it.")
@json_option
@database_options
def add(
    key: str,
    zone: str,
    rule: str | None,
    name: str | None,
    types: str | None,
    min_assurance: str | None,
    acme: bool,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Let KEY write in ZONE: everything, or what the rule says. --min-assurance: only a key of that level or more."""
    if acme and rule not in (None, "acme"):
        raise click.UsageError("--acme is a rule of its own; leave --rule out")
    _make(key, zone, Terms("acme" if acme else rule, name, _split(types), min_assurance), as_json, dsn, state)


@command.command()
@click.argument("key")
@click.argument("zone")
@click.option("--reason", required=True, metavar="TEXT", help="Why, in one line: the refused will read it.")
@_terms_options
@click.option("--homes", is_flag=True, help="In every home that ZONE delegates; KEY is *.")
@click.option("--addresses", metavar="NETWORK,...", help="Only A and AAAA in these networks; `private`: nobody's own.")
@click.option("--tenant", metavar="NAME", help="With --homes: in the homes of this tenant alone.")
@json_option
@database_options
def deny(
    key: str,
    zone: str,
    reason: str,
    rule: str | None,
    name: str | None,
    types: str | None,
    min_assurance: str | None,
    homes: bool,
    addresses: str | None,
    tenant: str | None,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Forbid KEY (* is everybody) to write in ZONE what the rule says, whatever else it was granted.

    --min-assurance: keys of that level or more are spared. A type's number forbids what is more than that.
    """
    networks = _split(addresses)
    terms = Terms(rule, name, _split(types), min_assurance, reason, homes, networks, tenant)
    _make(key, zone, terms, as_json, dsn, state)


def _make(key: str, zone: str, terms: Terms, as_json: bool, dsn: str | None, state: Path | None) -> None:
    who, origin = grants.read_key(key), words.read_name(zone, "zone name")
    grants.read(origin, who, terms)

    async def work(conn: Connection, _database: Database) -> tuple[bool, Grant]:
        return await grants.add(conn, who, origin, terms)

    new, rule = run(dsn, state, work)
    if as_json:
        print_json({"key": _who(who), "zone": shown(origin), **_shape(rule), "tenant": terms.tenant, "new": new})
        return
    already = "" if new else " already"
    if rule.denied is None:
        click.echo(f"{_who(who)} may{already} write {_where(rule, origin)} {_type_text(rule)}{_assured(rule)}.")
    else:
        text = f"{_where(rule, origin, terms.tenant)} {_type_text(rule)}{_assured(rule)}"
        click.echo(f"{_who(who)} may{already} not write {text}.")


@command.command("list")
@click.argument("zone", required=False)
@json_option
@database_options
def list_(zone: str | None, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the grants and denials, all or those on ZONE."""
    origin = None if zone is None else words.read_name(zone, "zone name")

    async def work(conn: Connection, _database: Database) -> list[Listed]:
        return await grants.listing(conn, origin)

    found = run(dsn, state, work)
    if as_json:
        print_json([_listed(one) for one in found])
        return
    print_table(
        ("RULE", "KEY", "ZONE", "MEANS", "NAME", "TYPES", "ASSURANCE", "DENIED"),
        [
            (
                str(one.id),
                _who(one.key),
                shown(one.origin) + _in_homes(one),
                one.grant.rule,
                shown(one.grant.name),
                _type_text(one.grant),
                one.grant.min_assurance or "",
                one.grant.denied or "",
            )
            for one in found
        ],
        "Nobody was granted anything; a home's own key needs no grant.",
    )


@command.command()
@click.argument("number", type=click.IntRange(min=1))
@json_option
@database_options
def show(number: int, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Show the rule that refusals call by its NUMBER."""

    async def work(conn: Connection, _database: Database) -> Listed:
        return await grants.the_rule(conn, number)

    found = run(dsn, state, work)
    if as_json:
        print_json(_listed(found))
        return
    rule = found.grant
    verb = "may write" if rule.denied is None else "may not write"
    where = f"{_where(rule, found.origin, found.tenant)} {_type_text(rule)}{_assured(rule)}"
    click.echo(f"Rule {number}: {_who(found.key)} {verb} {where}.")
    if rule.denied is not None:
        click.echo(f"Reason: {rule.denied}")
    if found.by_policy:
        click.echo(f"It was written by the policy of {shown(found.origin)}; change it with ddns policy.")


@command.command()
@click.argument("key", required=False)
@click.argument("zone", required=False)
@click.option("--number", type=click.IntRange(min=1), help="The one rule of this number; KEY and ZONE are left out.")
@_RULE
@_NAME
@_TYPES
@json_option
@database_options
def remove(
    key: str | None,
    zone: str | None,
    number: int | None,
    rule: str | None,
    name: str | None,
    types: str | None,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Take back the rules of KEY (* is everybody) in ZONE, denials too: all, or only those that are said."""
    if number is not None:
        if key is not None or rule is not None or name is not None or types is not None:
            raise click.UsageError("--number says it all; leave the rest out")
        _remove_number(number, as_json, dsn, state)
        return
    if key is None or zone is None:
        raise click.UsageError("say KEY and ZONE, or --number")
    who, origin = grants.read_key(key), words.read_name(zone, "zone name")
    terms = Terms(rule, name, _split(types))

    async def work(conn: Connection, _database: Database) -> int:
        return await grants.remove(conn, who, origin, terms)

    removed = run(dsn, state, work)
    if as_json:
        print_json({"key": _who(who), "zone": shown(origin), "removed": removed})
    else:
        click.echo(f"Took back {count(removed, 'grant')} on {shown(origin)} from {_who(who)}")


def _remove_number(number: int, as_json: bool, dsn: str | None, state: Path | None) -> None:
    async def work(conn: Connection, _database: Database) -> Listed:
        return await grants.remove_number(conn, number)

    found = run(dsn, state, work)
    if as_json:
        print_json({"key": _who(found.key), "zone": shown(found.origin), "removed": 1})
    else:
        click.echo(f"Took back rule {number} on {shown(found.origin)} from {_who(found.key)}")


@command.command()
@click.argument("key")
@click.argument("name")
@click.argument("rdtype_text", metavar="TYPE")
@click.option("--zone", metavar="ZONE", help="The zone of the update; default: the nearest above NAME.")
@json_option
@database_options
def check(
    key: str, name: str, rdtype_text: str, zone: str | None, as_json: bool, dsn: str | None, state: Path | None
) -> None:  # fmt: skip
    """Say whether KEY may write TYPE at NAME and which rule says so; TYPE ANY: delete the whole name. 1: refused."""
    who, where = words.read_name(key, "key name"), words.read_name(name, "name")
    rdtype = int(Type.ANY) if rdtype_text.upper() == "ANY" else min(words.read_types([rdtype_text]))
    origin = None if zone is None else words.read_name(zone, "zone name")

    async def work(conn: Connection, _database: Database) -> list[Found]:
        return await grants.check(conn, who, where, rdtype, origin)

    found = run(dsn, state, work)
    if as_json:
        print_json([_checked(one) for one in found])
    else:
        what = f"{shown(where)} {'of all types' if rdtype == Type.ANY else type_to_text(rdtype)}"
        for one in found:
            click.echo(_sentence(one, what))
    if any(one.decision.refusal is not None for one in found):
        sys.exit(_REFUSED)


def _sentence(found: Found, what: str) -> str:
    decision = found.decision
    if decision.refusal is not None:
        return f"Refused ({decision.refusal.code}): {decision.refusal.text}"
    by = "by owning the home"
    if decision.grants:
        by = f"by rule {', '.join(str(one.id) for one in decision.grants)}"
    bound = ""
    if decision.bounded_by is not None:
        bound = f", at most {decision.most} records by rule {decision.bounded_by.id}"
    return f"Allowed: {found.credential.kind} {names.to_text(found.credential.name)} may write {what}, {by}{bound}."


def _checked(found: Found) -> dict[str, Any]:
    decision = found.decision
    return {
        "key": shown(found.credential.name), "kind": found.credential.kind, "assurance": found.credential.assurance,
        "zone": shown(found.zone.origin), "allowed": decision.refusal is None,
        "owner": decision.refusal is None and not decision.grants,
        "rules": [one.id for one in decision.grants], "most": decision.most,
        "bounded_by": None if decision.bounded_by is None else decision.bounded_by.id,
        "code": None if decision.refusal is None else decision.refusal.code,
        "text": None if decision.refusal is None else decision.refusal.text,
    }  # fmt: skip


def _in_homes(one: Listed) -> str:
    return (" homes" + (f" of {one.tenant}" if one.tenant else "")) if one.grant.homes else ""


def _listed(one: Listed) -> dict[str, Any]:
    return {
        "id": one.id, "key": _who(one.key), "zone": shown(one.origin), **_shape(one.grant),
        "tenant": one.tenant or None, "by_policy": one.by_policy,
    }  # fmt: skip


def _shape(rule: Grant) -> dict[str, Any]:
    types = None if rule.types is None else [_counted(rule, rdtype) for rdtype in sorted(rule.types)]
    return {
        "rule": rule.rule, "name": shown(rule.name), "types": types, "min_assurance": rule.min_assurance,
        "deny": rule.denied, "homes": rule.homes, "addresses": list(rule.addresses),
    }  # fmt: skip


def _counted(rule: Grant, rdtype: int) -> str:
    bound = rule.bound(rdtype)
    return type_to_text(rdtype) if bound is None else f"{type_to_text(rdtype)}({bound})"


def _type_text(rule: Grant) -> str:
    if rule.types is None:
        return "all types"
    types = ",".join(_counted(rule, rdtype) for rdtype in sorted(rule.types))
    return f"{types} in {', '.join(rule.addresses)}" if rule.addresses else types


def _where(rule: Grant, origin: Name, tenant: str | None = None) -> str:
    name = shown(rule.name)
    where = {
        "zone": f"at and below {name}",
        "subdomain": f"at and below {name}",
        "name": f"at {name}",
        "self": "at the key's own name",
        "selfsub": "at and below the key's own name",
        "wildcard": f"at what {name} matches",
        "acme": f"at _acme-challenge of {name} and of the names below it",
        "within": f"at and below {name.removesuffix(shown(origin))}HOME",
    }[rule.rule]
    if rule.homes:
        whose = f" of the tenant {tenant}" if tenant else ""
        return f"in the homes of {shown(origin)}{whose} {'anywhere' if rule.rule == 'zone' else where}"
    return where


def _assured(rule: Grant) -> str:
    if rule.min_assurance is None:
        return ""
    if rule.denied is None:
        return f", if its assurance is {rule.min_assurance} or more"
    return f", unless its assurance is {rule.min_assurance} or more"


def _who(key: Name | None) -> str:
    return EVERYBODY if key is None else shown(key)


def _split(types: str | None) -> tuple[str, ...] | None:
    return None if types is None else tuple(types.split(","))
