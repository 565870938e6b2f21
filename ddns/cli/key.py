"""`ddns key`: add, list, assurance, revoke."""

from __future__ import annotations

import base64
import sys
import time
from pathlib import Path

import click

from ddns.auth import keyfile
from ddns.auth.keys import BadKey, key_tag
from ddns.auth.principal import ASSURANCES, DEFAULT_ASSURANCE
from ddns.auth.sealing import Sealer
from ddns.cli import Failure
from ddns.cli.shell import (
    count,
    database_options,
    json_option,
    principal,
    print_json,
    print_table,
    run,
    settle,
    shown,
    signer_of,
    wait_option,
    when,
)
from ddns.database import Database, secrets_key
from ddns.operator import files, grants, keys, words
from ddns.operator.keys import Revoked
from ddns.store import credential_uses
from ddns.store.credential_uses import Use
from ddns.store.credentials import Listed
from ddns.store.pool import Connection


@click.group()
def command() -> None:
    """Add, list and revoke the keys that may sign updates."""


@command.command()
@click.argument("name")
@click.option(
    "--algorithm", help="A shared secret (TSIG): hmac-sha256 (the default), -sha224, -sha384, -sha512, -sha1."
)
@click.option("--secret", metavar="BASE64", help="Use this secret and make none; - reads it from stdin.")
@click.option("--sig0", metavar="FILE.key", help="A public key (SIG(0)), as `dnssec-keygen -T KEY -n HOST` writes it.")
@click.option(
    "--acme",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="A key for certificates: only TXT at _acme-challenge of HOST and of the names below it; repeat it.",
)
@click.option("--assurance", metavar="LEVEL", help=f"{', '.join(ASSURANCES)}; default {DEFAULT_ASSURANCE}.")
@click.option("--days", type=click.IntRange(1, 3650), help="A shared secret that ends after so many days by itself.")
@wait_option
@json_option
@database_options
def add(
    name: str,
    algorithm: str | None,
    secret: str | None,
    sig0: str | None,
    hosts: tuple[str, ...],
    assurance: str | None,
    days: int | None,
    wait: float,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Add the key NAME. It may write nothing until you grant it something, or say --acme HOST."""
    key = words.read_name(name, "key name")
    level = keys.read_assurance(assurance or DEFAULT_ASSURANCE)
    if sig0 is not None:
        if algorithm is not None or secret is not None or hosts or days is not None:
            raise click.UsageError("--sig0 brings its own algorithm and needs neither secret nor end; give it alone")
        _add_sig0(key, sig0, level, wait, as_json, dsn, state)
        return
    chosen = keys.read_algorithm(algorithm or keys.DEFAULT_ALGORITHM)
    given = sys.stdin.read() if secret == "-" else secret  # noqa: S105 - a word for stdin
    held = keys.made_secret(chosen) if given is None else keys.read_secret(given)
    asked = [words.read_name(host, "host name") for host in hosts]

    async def work(conn: Connection, database: Database) -> bool:
        sealer = Sealer(secrets_key(database.state))
        ends = None if days is None else int(time.time()) + days * 86_400
        if asked:
            await grants.add_acme(conn, sealer, key, chosen, held, asked, level, ends)
            return False
        return await keys.add_tsig(conn, sealer, key, chosen, held, level, ends)

    owner = run(dsn, state, work)
    text = keys.key_file(key, chosen, held)
    if as_json:
        octets = base64.b64encode(held.reveal()).decode()
        print_json({"key": shown(key), "algorithm": chosen, "secret": octets, "key_file": text})
        return
    click.echo(f"Added the key {shown(key)} ({chosen}). Its secret is shown now and never again.")
    click.echo("Save this as a file with mode 0600 for `nsupdate -k FILE`:\n")
    click.echo(text)
    if asked:
        where = ", ".join(f"_acme-challenge.{shown(host)}" for host in asked)
        click.echo(f"It may write TXT at {where} and the like below, and nothing else.")
    else:
        click.echo(_right(key, owner, "ZONE"))


def _right(key: bytes, owner: bool, what: str) -> str:
    """Return what a new key may do: all in the home that it is named after, else nothing until it is granted."""
    if owner:
        return f"It speaks for the home {shown(key)}"
    return f"It may write nothing yet: ddns grant add {shown(key)} {what}"


def _add_sig0(
    key: bytes, sig0: str, assurance: str, wait: float, as_json: bool, dsn: str | None, state: Path | None
) -> None:
    rdata = _public_key(key, sig0)

    async def work(conn: Connection, database: Database) -> bool:
        async with signer_of(database) as signer:
            done = await keys.add_sig0(conn, signer, key, rdata, principal(), assurance)
        await settle(conn, database, done.pending, wait)
        return done.home

    owner = run(dsn, state, work)
    algorithm = files.algorithm_name(rdata[3])
    if as_json:
        print_json({"key": shown(key), "algorithm": rdata[3], "tag": key_tag(rdata)})
        return
    click.echo(f"Added the key {shown(key)} ({algorithm}, tag {key_tag(rdata)}).")
    click.echo(_right(key, owner, f"ZONE --name {shown(key)}"))


def _public_key(key: bytes, text: str) -> bytes:
    """Return the RDATA of the KEY in the file *text*, or that *text* itself says. Raises an error of ours."""
    if not Path(text).exists() and len(text.split()) > 3:
        try:
            rdata = keyfile.read_rdata(text.split())
        except BadKey as error:
            raise Failure(f"--sig0: {error}") from None
        files.check_key(rdata, "--sig0")
        return rdata
    name, rdata = files.public_key(Path(text))
    if name != key:
        raise Failure(f"{text} holds the key of {shown(name)}, not of {shown(key)}; name the key as the file does")
    return rdata


@command.command("list")
@click.option("--revoked", is_flag=True, help="Those that are revoked, too.")
@json_option
@database_options
def list_(revoked: bool, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the keys; secrets are never shown."""

    async def work(conn: Connection, _database: Database) -> tuple[list[Listed], dict[int, Use]]:
        found = await keys.listing(conn, revoked=revoked)
        return found, await credential_uses.of(conn, [one.credential.id for one in found])

    found, uses = run(dsn, state, work)
    if as_json:
        print_json(
            [
                {
                    "key": shown(one.credential.name), "kind": one.credential.kind,
                    "algorithm": one.credential.algorithm, "tag": one.credential.tag or None, "use": _use(one),
                    "assurance": one.credential.assurance,
                    "grants": len(one.credential.grants), "created_at": one.created_at, "revoked_at": one.revoked_at,
                    "expires_at": one.expires_at, "note": one.note, **_last(uses.get(one.credential.id)),
                }
                for one in found
            ]
        )  # fmt: skip
        return
    print_table(
        (
            *("KEY", "KIND", "ALGORITHM", "TAG", "USE", "ASSURANCE", "GRANTS", "SINCE", "UNTIL", "LAST USED", "FROM"),
            *(("REVOKED",) if revoked else ()),
        ),
        [
            (
                shown(one.credential.name),
                one.credential.kind,
                _algorithm(one),
                str(one.credential.tag or ""),
                _use(one),
                one.credential.assurance,
                str(len(one.credential.grants)),
                when(one.created_at),
                when(one.expires_at),
                *_seen(uses.get(one.credential.id)),
                *((when(one.revoked_at),) if revoked else ()),
            )
            for one in found
        ],
        "There are no keys yet; add one with `ddns key add NAME`.",
    )


def _algorithm(one: Listed) -> str:
    algorithm = one.credential.algorithm
    return files.algorithm_name(int(algorithm)) if one.credential.kind == "sig0" else algorithm


def _use(one: Listed) -> str:
    if one.credential.invitation is not None:
        return "invitation"
    if one.credential.home is None:
        return "updates"
    rules = {rule.rule for rule in one.credential.grants}
    return "acme" if rules == {"acme"} else "device" if rules == {"self"} else "home"


def _last(use: Use | None) -> dict[str, int | str | None]:
    return {"used_at": None if use is None else use.at, "used_from": None if use is None else use.source}


def _seen(use: Use | None) -> tuple[str, str]:
    return ("", "") if use is None else (when(use.at), use.source)


@command.command()
@click.argument("name")
@click.argument("level")
@json_option
@database_options
def assurance(name: str, level: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Say how sure you are of who holds the keys called NAME: open, token, manual, qr, voucher or attested."""
    key, known = words.read_name(name, "key name"), keys.read_assurance(level)

    async def work(conn: Connection, _database: Database) -> int:
        return await keys.assure(conn, key, known)

    number = run(dsn, state, work)
    if as_json:
        print_json({"key": shown(key), "assurance": known, "keys": number})
    else:
        click.echo(f"The assurance of {shown(key)} is {known} ({count(number, 'key')}).")


@command.command()
@click.argument("name")
@click.option("--reason", default=keys.BY_OPERATOR, metavar="TEXT", help="Why, in one line: a home's owner reads it.")
@wait_option
@json_option
@database_options
def revoke(name: str, reason: str, wait: float, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Revoke every key called NAME, at once and for good. A home's KEY leaves its zone with it."""
    key = words.read_name(name, "key name")

    async def work(conn: Connection, database: Database) -> Revoked:
        async with signer_of(database) as signer:
            done = await keys.revoke(conn, signer, key, reason, principal(), int(time.time()))
        await settle(conn, database, done.pending, wait)
        return done

    done = run(dsn, state, work)
    if as_json:
        print_json({"key": shown(key), "revoked": done.count})
        return
    click.echo(f"Revoked {shown(key)} ({count(done.count, 'key')}).")
    if done.home:
        click.echo(
            "The home goes on being served, and no gateway writes it. Its owner lets one in with "
            f"`ddns gateway replace {shown(key)}` and the phone; without an owner, have the gateway run "
            f"`ddns gateway key announce {shown(key)}`, and say `ddns home approve`."
        )
