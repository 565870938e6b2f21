"""`ddns signing`: list, show, set, remove, use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ddns.cli.shell import count, database_options, json_option, print_facts, print_json, print_table, run, shown
from ddns.database import Database
from ddns.operator import policy_words, signing, words
from ddns.operator.policy_words import LIFETIMES
from ddns.operator.signing import Listed, Set, Used
from ddns.store.policies import FIELDS, Policy
from ddns.store.pool import Connection


@click.group()
def command() -> None:
    """Say how zones are signed and how their keys live."""


@command.command("list")
@json_option
@database_options
def list_(as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the signing policies."""

    async def work(conn: Connection, _database: Database) -> list[Listed]:
        return await signing.listing(conn)

    found = run(dsn, state, work)
    if as_json:
        print_json([_json(one.policy) | {"zones": one.zones} for one in found])
        return
    print_table(
        ("POLICY", "SCHEME", "ALGORITHM", "LIFETIME", "VALIDITY", "VAULT", "ZONES"),
        [
            (
                one.policy.name,
                one.policy.scheme,
                policy_words.shown(one.policy, "algorithm"),
                _lifetimes(one.policy),
                policy_words.shown(one.policy, "validity"),
                one.policy.vault,
                str(one.zones),
            )
            for one in found
        ],
        "There are no signing policies.",
    )


def _lifetimes(policy: Policy) -> str:
    kept = LIFETIMES[:1] if policy.scheme == "csk" else LIFETIMES[1:]
    return ", ".join(policy_words.shown(policy, key) for key in kept)


def _json(policy: Policy) -> dict[str, Any]:
    """Return a policy for programs: times in seconds."""
    values = {key: getattr(policy, key) for key in FIELDS}
    return {"policy": policy.name} | values | {"parent_servers": list(policy.parent_servers)}


@command.command()
@click.argument("name")
@json_option
@database_options
def show(name: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Show all settings of the policy NAME, and which zones are signed by it."""

    async def work(conn: Connection, _database: Database) -> Listed:
        return await signing.show(conn, name)

    found = run(dsn, state, work)
    some = [shown(zone) for zone in found.some]
    if as_json:
        print_json(_json(found.policy) | {"zones": found.zones, "some_zones": some})
        return
    print_facts([(key, policy_words.shown(found.policy, key) or "none") for key in FIELDS])
    click.echo()
    more = f" and {found.zones - len(some)} more" if found.zones > len(some) else ""
    click.echo(f"{count(found.zones, 'zone')}{': ' if some else ''}{', '.join(some)}{more}")


@command.command("set")
@click.argument("name")
@click.argument("settings", metavar="KEY=VALUE…", nargs=-1, required=True)
@json_option
@database_options
def set_(name: str, settings: Sequence[str], as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Give the policy NAME the value VALUE in each KEY; one that is not there is made.

    Times are 90d, 12h, 30m or seconds; `default` is what a new policy has. `ddns signing show default` shows all keys.
    """
    wanted = policy_words.read_settings(list(settings))

    async def work(conn: Connection, _database: Database) -> Set:
        return (await signing.put(conn, {name: wanted}))[0]

    done = run(dsn, state, work)
    if as_json:
        print_json(
            {
                "policy": name, "state": done.state,
                "changes": {key: {"before": old, "after": new} for key, (old, new) in done.changes.items()},
            }
        )  # fmt: skip
        return
    what = ", ".join(f"{key} {old or 'none'} → {new or 'none'}" for key, (old, new) in done.changes.items())
    if done.state == "added":
        click.echo(f"Added the signing policy {name}{': ' + what if what else ', which is as a new one is'}.")
        click.echo(f"`ddns signing use ZONE {name}` signs a zone by it.")
    elif done.state == "unchanged":
        click.echo(f"The signing policy {name} is so already.")
    else:
        click.echo(f"Changed the signing policy {name}: {what}.")
        if done.looks:
            click.echo("Signers look at the keys of its zones now; `zone-signer plan ZONE` says what they do to them.")
        else:
            click.echo("Signatures that are made from now on follow it.")


@command.command()
@click.argument("name")
@json_option
@database_options
def remove(name: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Remove the policy NAME, by which no zone may be signed any more."""

    async def work(conn: Connection, _database: Database) -> None:
        await signing.remove(conn, name)

    run(dsn, state, work)
    if as_json:
        print_json({"policy": name, "state": "removed"})
    else:
        click.echo(f"Removed the signing policy {name}.")


@command.command()
@click.argument("zone")
@click.argument("name", required=False)
@click.option("--default", "usual", is_flag=True, help="By home where its registry is here, by default elsewhere.")
@json_option
@database_options
def use(zone: str, name: str | None, usual: bool, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Sign ZONE by the policy NAME from now on; its keys roll where they are not what that asks for."""
    if (name is None) is not usual:
        raise click.UsageError("Give either the name of a policy or --default.")
    origin = words.read_name(zone, "zone name")

    async def work(conn: Connection, _database: Database) -> Used:
        return await signing.use(conn, origin, name)

    done = run(dsn, state, work)
    if as_json:
        print_json({"zone": shown(origin), "before": done.before, "policy": done.after, "changed": done.changed})
    elif done.changed:
        click.echo(
            f"{shown(origin)} is signed by {done.after} from now on, and no longer by {done.before}; "
            f"`zone-signer plan {shown(origin)}` says what happens to its keys."
        )
    else:
        click.echo(f"{shown(origin)} is signed by {done.after} already.")
