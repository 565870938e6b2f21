"""All routes of the desk, and how one is found. To add one: give it to the `ROUTES` of its file, and its file here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import unquote_to_bytes

from ddns.web import (
    abuse_routes,
    adoption_routes,
    audit_routes,
    brski_routes,
    device_routes,
    enrol_routes,
    est_routes,
    expected_routes,
    export_routes,
    general_routes,
    homes_routes,
    invitation_routes,
    inviting_routes,
    making_routes,
    notice_routes,
    offer_routes,
    page_routes,
    policy_routes,
    standing_routes,
    statement_routes,
    tenant_routes,
    token_routes,
    vendor_routes,
)
from ddns.web.routes import BODY, Listener, Route

ROUTES: tuple[Route, ...] = (
    *abuse_routes.ROUTES,
    *audit_routes.ROUTES,
    *adoption_routes.ROUTES,
    *brski_routes.ROUTES,
    *device_routes.ROUTES,
    *enrol_routes.ROUTES,
    *est_routes.ROUTES,
    *expected_routes.ROUTES,
    *export_routes.ROUTES,
    *general_routes.ROUTES,
    *homes_routes.ROUTES,
    *invitation_routes.ROUTES,
    *inviting_routes.ROUTES,
    *making_routes.ROUTES,
    *notice_routes.ROUTES,
    *offer_routes.ROUTES,
    *page_routes.ROUTES,
    *policy_routes.ROUTES,
    *standing_routes.ROUTES,
    *statement_routes.ROUTES,
    *tenant_routes.ROUTES,
    *token_routes.ROUTES,
    *vendor_routes.ROUTES,
)


def routes(*, page: bool) -> tuple[Route, ...]:
    """Return the routes of a desk; without *page* it has none of the page that works as a phone."""
    return ROUTES if page else tuple(one for one in ROUTES if one not in page_routes.PHONE)


class Table:
    """Routes by the parts of their paths; a part in braces takes any text."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_length: dict[int, list[tuple[tuple[str, ...], Route]]] = {}
        for route in routes:
            if (route.within is None) == (route.alone is None):
                raise ValueError(f"{route.method} {route.path} needs one handler")
            parts = tuple(route.path.split("/")[1:])
            same = self._by_length.setdefault(len(parts), [])
            if any(one.method == route.method and _alike(parts, there) for there, one in same):
                raise ValueError(f"{route.method} {route.path} is there twice")
            same.append((parts, route))
        for same in self._by_length.values():
            same.sort(key=lambda one: [part.startswith("{") for part in one[0]])  # what is written out goes first

    def find(self, listener: Listener, method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
        """Return the route for a request and the values in its path; None: there is none."""
        for route, values in self._at(listener, path):
            if route.method == method:
                return route, values
        return None

    def methods(self, listener: Listener, path: str) -> str:
        """Return which methods the path has, as the header Allow says it; empty: there is no such path."""
        found = {route.method for route, _values in self._at(listener, path)}
        return ", ".join(sorted(found | ({"HEAD"} if "GET" in found else set())))

    def most(self, listener: Listener, method: str, path: str) -> int:
        """Return how many octets the body of a request may have."""
        found = self.find(listener, method, path)
        return BODY if found is None else found[0].most

    def _at(self, listener: Listener, path: str) -> Iterable[tuple[Route, Mapping[str, str]]]:
        given = path.split("/")[1:] if path.startswith("/") else []
        found: tuple[str, ...] | None = None
        for parts, route in self._by_length.get(len(given), ()):
            if route.listener not in (listener, Listener.BOTH):
                continue
            values = _match(parts, given)
            if values is not None and (found is None or _alike(parts, found)):
                found = parts  # what is written out hides what would take any text, as OpenAPI has it
                yield route, values


def _match(parts: tuple[str, ...], given: list[str]) -> dict[str, str] | None:
    values = {}
    for part, text in zip(parts, given, strict=True):
        if not part.startswith("{"):
            if part != text:
                return None
            continue
        value = decoded(text)
        if not value:
            return None
        values[part[1:-1]] = value
    return values


def _alike(parts: tuple[str, ...], others: tuple[str, ...]) -> bool:
    return all(one == other or (one[:1] == other[:1] == "{") for one, other in zip(parts, others, strict=True))


def decoded(text: str) -> str | None:
    """Return a part of a path without percent signs; None where that is no UTF-8, or holds what no name has."""
    try:
        found = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return None
    return found if found.isprintable() and "/" not in found else None
