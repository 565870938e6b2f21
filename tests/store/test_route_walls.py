"""Between tenants by the API: every route, with another tenant's names, ids, cursors and keys in the asker's hands.

Generated from the table of routes: a new route is tried as soon as it is there, and must answer for what is another's
as it does for what is nowhere.
"""

from __future__ import annotations

import json
import typing
from uuid import UUID

import msgspec
import pytest
import walls
from serving_desk import asking
from walls import NOW

from ddns.dns import names
from ddns.web.rights import EVERY, REGISTRYS
from ddns.web.routes import Listener
from ddns.web.table import ROUTES

NEEDS_A_TOKEN = [one for one in ROUTES if one.right is not None]
NOWHERE = {"home": "nowhere-9.homes.example", "uuid": str(UUID(int=99, version=4)), "number": "999999", "token": "9-x"}


def of(one):
    """Return, by kind, the words by which somebody may name what a tenant has."""
    return {
        "home": [names.to_text(one.home).rstrip("."), f"guest-{one.tenant - 1}.homes.example"],
        "uuid": [str(value) for value in (one.owner, one.device, one.webhook, one.claim, one.recovery, one.release)],
        "number": [
            str(value) for value in (one.zone, one.notice, one.invitation, one.credential, one.bond, one.verifier)
        ],
        "token": [one.token],
        "name": [one.name],
    }


def marks(one):
    """Return what shows that an answer holds something of a tenant's."""
    return [*of(one)["home"], *of(one)["uuid"], one.token, one.name, one.digest.hex()]


def paths(route, one):
    """Yield the route's path for each thing of *one*, and the same for what is nowhere."""
    if "{" not in route.path:
        yield route.path, route.path
        return
    for kind, words in of(one).items():
        for word in words:
            there, nowhere = [], []
            for part in route.path.split("/"):
                there.append(word if part.startswith("{") else part)
                nowhere.append(NOWHERE.get(kind, "nobody") if part.startswith("{") else part)
            yield "/".join(there), "/".join(nowhere)


def body_of(route, one):
    """Return a body that names what *one* has; None: the route takes none."""
    if route.body is None:
        return None
    return _body(route.body, {kind: found[0] for kind, found in of(one).items()})


def _body(struct, words):
    if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
        return {}
    return {
        field.encode_name: _value(field.name, field.type, words)
        for field in msgspec.structs.fields(struct)
        if field.required or field.name in ("label", "owner", "home", "device", "id")
    }


def _value(name, kind, words):
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    options = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return options[0]
    if origin in (list, tuple):
        return [_value(name, options[0], words)]
    if options:
        return _value(name, next(one for one in options if one is not type(None)), words)
    if kind is str:
        if name == "zone":
            return "homes.example"
        if name in ("rights", "right"):
            return "homes:read"
        if name == "url":
            return "https://a.example/"
        return words["uuid"] if name in ("owner", "device") else words["home"].split(".")[0]
    return {int: 1, bool: True, float: 1.0}.get(kind, {} if kind is dict else None)


def said(path, body):
    return f"{path} {json.dumps(body)}"


@pytest.fixture
def tenants(owner):
    async def furnished():
        registry = await walls.registry(owner)
        return await walls.furnish(owner, registry, 1), await walls.furnish(owner, registry, 2)

    return furnished


async def test_another_tenants_token_with_every_right_reads_and_changes_nothing(
    owner, admin, dsn_for, tmp_path, tenants
):
    """What is A's and what is nowhere get the same status and the same words, and no answer holds a mark of A's."""
    a, b = await tenants()
    before = await walls.fingerprint(owner, a.facts())
    told, leaked, tried = [], [], 0
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        token = await at.token(admin, b.tenant, EVERY - REGISTRYS)
        for route in NEEDS_A_TOKEN:
            body = body_of(route, a)
            for path, nowhere in paths(route, a):
                tried += 1
                devices = route.listener is Listener.DEVICES
                found = await at.ask(route.method, path, body, token=token, media=route.media[0], devices=devices)
                if "{" in route.path:
                    unfound = await at.ask(
                        route.method, nowhere, body, token=token, media=route.media[0], devices=devices
                    )
                    if _plain(found, path, body) != _plain(unfound, nowhere, body):
                        told.append((route.method, path, found[0], found[2], unfound[0], unfound[2]))
                shown = json.dumps(found[2], default=repr)
                leaked += [
                    (route.method, path, one) for one in marks(a) if one in shown and one not in said(path, body)
                ]

    assert told == []
    assert leaked == []
    assert tried >= len(NEEDS_A_TOKEN)
    assert await walls.fingerprint(owner, a.facts()) == before


def _plain(answer, path, body):
    """Return status and words of an answer without what the request itself said."""
    words = json.dumps(answer[2], default=repr)
    for part in path.split("/"):
        if len(part) > 3 and part not in ("homes", "export"):
            words = words.replace(part, "*")
    given = list((body or {}).values()) if isinstance(body, dict) else []
    for value in [one for some in given for one in (some if isinstance(some, list) else [some])]:
        if isinstance(value, str) and len(value) > 3:
            words = words.replace(value, "*")
    return answer[0], words


@pytest.mark.parametrize("bound", ["home", "owner"])
async def test_a_token_of_one_home_or_owner_reaches_no_other(owner, admin, dsn_for, tmp_path, tenants, bound):
    a, b = await tenants()
    before = await walls.fingerprint(owner, a.facts())
    reached = []
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        mine = {"home": {"home": b.zone}, "owner": {"owner": b.owner}}[bound]
        token = await at.token(admin, b.tenant, EVERY - REGISTRYS, **mine)
        for route in NEEDS_A_TOKEN:
            for path, _ in paths(route, a):
                status, _, answer = await at.ask(
                    route.method, path, body_of(route, a), token=token, media=route.media[0],
                    devices=route.listener is Listener.DEVICES,
                )  # fmt: skip
                shown = json.dumps(answer, default=repr)
                if status < 300 and (not route.own or any(one in shown for one in marks(a))):
                    reached.append((route.method, path, status))

    assert reached == []
    assert await walls.fingerprint(owner, a.facts()) == before


async def test_nobody_gets_behind_any_route_without_a_token_or_with_a_made_up_one(admin, dsn_for, tmp_path, tenants):
    a, _ = await tenants()
    opened = []
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        for route in NEEDS_A_TOKEN:
            (path, _), *_ = paths(route, a)
            for token in (None, f"np1.{a.token}.{'A' * 43}", "np1.x.y", "x"):
                status, _, answer = await at.ask(
                    route.method, path, body_of(route, a), token=token, media=route.media[0],
                    devices=route.listener is Listener.DEVICES,
                )  # fmt: skip
                if (status, answer["code"] in ("token-unknown", "token-missing")) != (401, True):
                    opened.append((route.method, path, token, status, answer))

    assert opened == []


async def test_each_route_asks_for_its_own_right(admin, dsn_for, tmp_path, tenants):
    """A token with every right but one is refused by exactly the routes that ask for it."""
    a, _ = await tenants()
    wrong = []
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        for right in sorted({one.right for one in NEEDS_A_TOKEN}):
            token = await at.token(admin, 1, EVERY - {right})
            for route in NEEDS_A_TOKEN:
                (path, _), *_ = paths(route, a)
                if route.right != right:
                    continue
                status, _, answer = await at.ask(
                    route.method, path, body_of(route, a), token=token, media=route.media[0],
                    devices=route.listener is Listener.DEVICES,
                )  # fmt: skip
                if (status, answer.get("code")) != (403, "right-missing"):
                    wrong.append((route.method, path, right, status, answer))

    assert wrong == []


async def test_another_tenants_cursor_and_idempotency_key_are_of_no_use(admin, dsn_for, tmp_path, tenants):
    a, b = await tenants()
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        theirs, mine = [await at.token(admin, one.tenant, {"homes:read", "tokens"}) for one in (a, b)]
        _, _, page = await at.ask("GET", "/v1/notices", token=theirs)
        status, _, answer = await at.ask("GET", f"/v1/notices?after={page['next']}", token=mine)
        keyed = {"idempotency-key": "k1"}
        wish = {"rights": ["homes:read"]}
        first = await at.ask("POST", "/v1/tokens", wish, token=theirs, headers=keyed)
        second = await at.ask("POST", "/v1/tokens", wish, token=mine, headers=keyed)
        again = await at.ask("POST", "/v1/tokens", wish, token=theirs, headers=keyed)

    assert (status, answer["code"]) == (422, "cursor-wrong")
    assert first[0] == second[0] == 201
    assert first[2]["token"] != second[2]["token"]
    assert again == first


async def test_acting_for_another_tenant_is_the_registrys_own_right(admin, dsn_for, tmp_path, tenants):
    a, b = await tenants()
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        theirs = await at.token(admin, b.tenant, EVERY - REGISTRYS)
        without = await at.token(admin, 1, EVERY - {"tenants:act"})
        with_it = await at.token(admin, 1, {"tenants:act", "webhooks"})
        path = f"/v1/webhooks?tenant={a.name}"
        refused = [await at.ask("GET", path, token=one) for one in (theirs, without)]
        taken = await at.ask("GET", path, token=with_it)

    assert [(status, answer["code"]) for status, _, answer in refused] == [(403, "right-missing")] * 2
    assert [one["id"] for one in taken[2]["webhooks"]] == [str(a.webhook)]
