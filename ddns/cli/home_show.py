"""`ddns home show`: one home, whose it is, how it came, its keys and when they were used last, and what waits."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ddns.cli.shell import database_options, json_option, print_facts, print_json, run, shown, when
from ddns.database import Database
from ddns.operator import files, homes, looking, words
from ddns.operator.looking import Look
from ddns.proof import b64
from ddns.store.home_look import Key
from ddns.store.pool import Connection
from ddns.zone import srp


@click.command("show")
@click.argument("label")
@click.option("--zone", metavar="NAME", help="The registry's zone, where there are several.")
@json_option
@database_options
def command(label: str, zone: str | None, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Show the home LABEL (or its full name): whose it is, its state, its keys, and what waits."""

    async def work(conn: Connection, _database: Database) -> Look:
        if zone is None and "." in label.rstrip("."):
            name = words.read_name(label, "home")
        else:
            name = (await homes.find_registry(conn, label, zone))[1]
        return await looking.look(conn, name, int(time.time()))

    found = run(dsn, state, work)
    held = [one for one in found.keys if one.kind != srp.POLICY]
    sources = " ".join(one.public.decode() for one in found.keys if one.kind == srp.POLICY).split()
    if as_json:
        print_json(_json(found, held, sources))
        return
    home = found.home
    state_text = home.state if home.state == "active" else f"{home.state}: {home.reason}"
    print_facts(
        [
            ("Home", shown(home.name)),
            ("As read", "" if home.label.isascii() else home.label),
            ("State", state_text),
            ("Tenant", home.tenant),
            ("Owner", str(home.owner or "nobody yet")),
            *[
                ("Owner's key", f"{one.role} {b64.encode(one.thumbprint)}, since {when(one.since)}")
                for one in found.people
            ],
            ("Box", str(home.device or "")),
            ("Came by", home.came),
            ("Since", when(home.created_at)),
            ("Serial", str(found.zone.serial)),
            *[("Key", _key(one, home.name)) for one in held],
            *[
                (
                    "Waits",
                    f"key with tag {one.tag}, seen {when(one.seen_at)} from {one.source}, until {when(one.until)}",
                )
                for one in found.pending
            ],
            ("Claimed", f"until {when(found.claim_due_at)} its owner may object" if found.claim_due_at else ""),
            ("Services", f"hosts in {', '.join(sources)} may register" if sources else ""),
        ]
    )


def _key(one: Key, home: bytes) -> str:
    said = one.algorithm if one.kind == "tsig" else f"{files.algorithm_name(int(one.algorithm))}, tag {one.tag}"
    said = said if one.name == home else f"{shown(one.name)}, {said}"
    said += f", {one.assurance}" + (f" by {one.method}" if one.method else "") + f", since {when(one.created_at)}"
    if one.expires_at is not None:
        said += f", until {when(one.expires_at)}"
    return said + (f", used {when(one.used_at)} from {one.used_from}" if one.used_at is not None else "")


def _json(found: Look, held: list[Key], sources: list[str]) -> dict[str, Any]:
    home = found.home
    return {
        "home": shown(home.name), "unicode": home.label, "state": home.state, "reason": home.reason or None,
        "tenant": home.tenant, "owner": str(home.owner) if home.owner else None,
        "owner_keys": [
            {"role": one.role, "thumbprint": b64.encode(one.thumbprint), "since": one.since, "note": one.note or None}
            for one in found.people
        ],
        "device": str(home.device) if home.device else None, "kind": home.kind, "came_by": home.came or None,
        "since": home.created_at, "serial": found.zone.serial, "edition": found.zone.edition,
        "pending": found.zone.signed_pending,
        "keys": [
            {
                "name": shown(key.name), "kind": key.kind, "algorithm": key.algorithm, "tag": key.tag or None,
                "assurance": key.assurance, "evidence": key.method or None, "since": key.created_at,
                "until": key.expires_at, "used_at": key.used_at, "used_from": key.used_from or None,
            }
            for key in held
        ],
        "pending_keys": [
            {"tag": one.tag, "algorithm": one.algorithm, "seen_at": one.seen_at, "from": one.source, "until": one.until}
            for one in found.pending
        ],
        "claim_due_at": found.claim_due_at, "services_from": sources,
    }  # fmt: skip
