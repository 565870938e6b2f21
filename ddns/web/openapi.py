"""The API's own description (OpenAPI 3.1), made from the table of routes and the types of their bodies.

python -m ddns.web.openapi > docs/reference/openapi.json
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ddns import __version__
from ddns.web import problem
from ddns.web.problem import Problem
from ddns.web.rights import REGISTRYS, WHAT
from ddns.web.routes import JSON, Listener, Route

_REF = "#/components/schemas/{name}"
_NO_TOKEN = "Nobody is asked for a token: what proves the asker is in the request."  # noqa: S105 - a sentence
_IDEMPOTENCY = {
    "name": "Idempotency-Key", "in": "header", "required": False,
    "description": "A word of your choice for this wish. Sent again within a day it is not done twice: you get the "
    "first answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
}  # fmt: skip
_IF_MATCH = {
    "name": "If-Match", "in": "header", "required": False,
    "description": "The ETag of the answer by which you decided: 412 where it is another by now (RFC 9110 §13.1.1).",
    "schema": {"type": "string", "pattern": "^[!-~]+$"},
}  # fmt: skip
_PATTERNS = {"digest": {"pattern": "^[0-9A-Fa-f]{64}$"}}  # of parts of paths that no free text stands in
_TENANT = {
    "name": "tenant", "in": "query", "required": False,
    "description": "For which tenant this is done; the registry's own tokens with `tenants:act` alone.",
    "schema": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,31}$"},
}  # fmt: skip


def octets(routes: Iterable[Route]) -> bytes:
    """Return the document of *routes* as JSON."""
    return msgspec.json.format(msgspec.json.encode(document(routes)), indent=2) + b"\n"


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the document of those of *routes* that belong to the API for people and programs."""
    shown = [one for one in routes if one.api and one.listener is not Listener.DEVICES]
    types: list[Any] = [Problem]
    for route in shown:
        types += [one for one in (route.query, route.body, *route.answers.values()) if one is not None]
    _out, components = msgspec.json.schema_components(dict.fromkeys(types), ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in shown:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, components)
    queries = {one.query.__name__ for one in shown if one.query is not None}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Nameplate",
            "version": __version__,
            "description": "Homes, their owners and their names. Refusals are problem documents (RFC 9457) whose "
            "`code` is the one that DNS answers carry too; docs/reference/refusals.md lists all.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": one} for one in sorted({route.tag for route in shown})],
        "paths": paths,
        "components": {
            "schemas": {name: one for name, one in sorted(components.items()) if name not in queries},
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "A token as `ddns token add` or POST /v1/tokens tells it once: `np1.…`. Rights: "
                    + "; ".join(f"`{right}`: {what}" for right, what in WHAT.items()) + ".",
                }
            },
        },
    }  # fmt: skip


def _operation(route: Route, components: Mapping[str, Any]) -> dict[str, Any]:
    proof = _NO_TOKEN if route.right is None else f"The token needs the right `{route.right}`."
    said: dict[str, Any] = {
        "operationId": _identifier(route),
        "summary": route.summary,
        "description": proof,
        "tags": [route.tag],
        "security": [] if route.right is None else [{"token": []}],
        "parameters": _parameters(route, components),
        "responses": _responses(route),
    }
    if route.body is not None or route.media != (JSON,):
        typed = {"type": "string"} if route.body is None else {"$ref": _REF.format(name=route.body.__name__)}
        content = {one: {"schema": typed if one == JSON else {"type": "string"}} for one in route.media}
        said["requestBody"] = {"required": True, "content": content}
    if not said["parameters"]:
        del said["parameters"]
    return said


def _identifier(route: Route) -> str:
    words = [one for one in re.split(r"[^A-Za-z0-9]+", route.path) if one and one != "v1"]
    return "_".join([route.method.lower(), *words])


def _parameters(route: Route, components: Mapping[str, Any]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = [
        {
            "name": name, "in": "path", "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": 1024, **_PATTERNS.get(name, {})},
        }
        for name in re.findall(r"{([a-z_]+)}", route.path)
    ]  # fmt: skip
    if route.query is not None:
        schema = components[route.query.__name__]
        for name, one in schema["properties"].items():
            described = one.get("description", "")
            out.append(
                {
                    "name": name, "in": "query", "required": name in schema.get("required", ()),
                    **({"description": described} if described else {}),
                    "schema": {key: value for key, value in one.items() if key != "description"},
                }
            )  # fmt: skip
    if route.right is not None:
        if route.right not in REGISTRYS:
            out.append(_TENANT)
        if route.matches and route.method != "GET":
            out.append(_IF_MATCH)
        if route.method != "GET" and route.within is not None:
            out.append(_IDEMPOTENCY)
    return out


def _responses(route: Route) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for status, answered in route.answers.items():
        said: dict[str, Any] = {"description": "Done." if answered is None else _first_line(answered)}
        if answered is not None:
            said["content"] = {one: {} for one in route.gives} | {
                JSON: {"schema": {"$ref": _REF.format(name=answered.__name__)}}
            }
        elif status != 204:
            said["content"] = {one: {} for one in route.gives}
        out[str(status)] = said
    out["default"] = {
        "description": "A refusal.",
        "content": {problem.MEDIA: {"schema": {"$ref": _REF.format(name="Problem")}}},
    }
    return out


def _first_line(answered: Any) -> str:
    return str(answered.__doc__ or "").strip().partition("\n")[0]


if __name__ == "__main__":
    from ddns.web.table import ROUTES

    sys.stdout.buffer.write(octets(ROUTES))
