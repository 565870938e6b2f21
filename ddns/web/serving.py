"""From a request to a response: which route, who asks, whether they may, what they say, and what became of it.

The order is that of cost and of knowledge: rations, then the token, then the body's type, then the handler. Who has no
token, or one without the right, is told so before anything about the body or the subject (an unknown path is not
known to anybody).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import psycopg
from twisted.logger import Logger

from ddns.dns.refusal import Refusal
from ddns.operator import tokens as token_words
from ddns.operator.fault import CannotDo
from ddns.proof.bad import BadProof, refusal_of
from ddns.store import desks, tokens
from ddns.store.pool import Connection
from ddns.store.tenancy import REGISTRY
from ddns.web import answering, problem, refusing, typed
from ddns.web.heard import Heard, Response
from ddns.web.rations import Rations
from ddns.web.rights import ACT, REGISTRYS
from ddns.web.routes import Answer, Asked, Holder, Listener, Means, Refused, Route
from ddns.web.table import Table
from ddns.web.transacting import NOBODY

log = Logger(namespace="ddns.web")

SAFE = ("GET", "HEAD")
AWAY = 5.0  # seconds after which somebody may ask again when the database is away


class Bounds(msgspec.Struct, frozen=True):
    """*waiting* requests are under way at a time, each for so many *seconds* at most."""

    waiting: int = 512
    seconds: float = 20.0


class Serving:
    """Answer requests by the table of routes."""

    def __init__(self, table: Table, means: Means, rations: Rations, bounds: Bounds) -> None:
        self._table = table
        self._means = means
        self._rations = rations
        self._bounds = bounds
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def most(self, listener: Listener, method: str, path: str) -> int:
        """Return how many octets the body of a request may have."""
        return self._table.most(listener, method, path)

    async def quiet(self) -> None:
        """Wait until no request is under way."""
        await self._idle.wait()

    async def serve(self, heard: Heard) -> Response:
        """Return the response to *heard*; whatever goes wrong is one, too."""
        if self._under_way >= self._bounds.waiting:
            return problem.response(refusing.desk_busy(), self._rations.later(AWAY))
        self._under_way += 1
        self._idle.clear()
        try:
            found = self._table.find(heard.listener, "GET" if heard.method == "HEAD" else heard.method, heard.path)
            seconds = self._bounds.seconds if found is None else max(found[0].seconds, self._bounds.seconds)
            async with asyncio.timeout(seconds):
                return await self._answered(heard, found)
        except Refused as error:
            return self._problem(error.refusal, error.retry_after)
        except BadProof as error:
            return self._problem(refusal_of(error), 0)
        except CannotDo as error:
            return self._problem(refusing.cannot_be_done(str(error)), 0)
        except TimeoutError:
            return self._problem(refusing.too_slow(), self._rations.later(AWAY))
        except (psycopg.OperationalError, OSError) as error:
            log.warn("database.away reason={reason}", reason=str(error).strip())
            return self._problem(refusing.out_of_reach(), self._rations.later(AWAY))
        except Exception:  # noqa: BLE001 - a bug: said with its traceback, and nobody else notices
            log.failure("request.failed method={method}", method=heard.method)
            return self._problem(refusing.our_fault(), 0)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    def _problem(self, refusal: Refusal, retry_after: int) -> Response:
        log.debug("request.refused code={code}", code=refusal.code)
        return problem.response(refusal, retry_after)

    async def _answered(self, heard: Heard, found: tuple[Route, Mapping[str, str]] | None) -> Response:
        credentials = heard.headers.get("authorization", "")
        if found is None or found[0].right is None or not credentials:
            self._pay(self._rations.source(heard.source))
        if found is None:
            methods = self._table.methods(heard.listener, heard.path)
            if not methods:
                raise Refused(refusing.not_found())
            return problem.response(refusing.method_unknown(methods), headers=(("Allow", methods),))
        route, path = found
        answer = await self._of_token(heard, route, path, credentials)
        return Response(answer.status, answering.octets_of(answer), answer.media, answer.headers)

    def _pay(self, wait: int) -> None:
        if wait:
            raise Refused(refusing.too_many_requests(), wait)

    async def _of_token(self, heard: Heard, route: Route, path: Mapping[str, str], credentials: str) -> Answer:
        """Answer in the name of whom the token belongs to, or of nobody where none is asked for."""
        means = self._means
        if route.right is None:
            tenant = await self._tenant_of(heard)
            if route.alone is not None:
                return await route.alone(means, self._asked(heard, route, path, Holder(tenant), tenant))
            asked = self._asked(heard, route, path, Holder(tenant), tenant)
            async with means.transaction(tenant) as conn:
                return await _within(route)(conn, means, asked)
        shown = _shown(credentials)
        if shown is None:
            self._pay(self._rations.source(heard.source) if credentials else 0)
            raise Refused(refusing.token_unknown() if credentials else refusing.token_missing())
        self._pay(self._rations.before(heard.source, shown.id, shown.digest))
        async with means.transaction(shown.tenant) as conn:
            holder = await self._holder(conn, heard, shown)
            self._may(route, holder)
            tenant = await self._acted_for(conn, heard, route, holder)
            if tenant == holder.tenant and route.within is not None:
                return await self._once(conn, heard, route, self._asked(heard, route, path, holder, tenant))
        asked = self._asked(heard, route, path, holder, tenant)
        if route.alone is not None:
            return await route.alone(means, asked)
        async with means.transaction(tenant) as conn:
            return await self._once(conn, heard, route, asked)

    async def _tenant_of(self, heard: Heard) -> int:
        """Return whose people and boxes come by this server name; the registry's own where it is nobody's."""
        if not heard.server_name:
            return REGISTRY
        async with self._means.transaction(NOBODY) as conn:
            return await desks.tenant_at(conn, heard.server_name) or REGISTRY

    async def _holder(self, conn: Connection, heard: Heard, shown: token_words.Shown) -> Holder:
        token = await tokens.find(conn, shown.id)
        if token is None or token.revoked_at is not None or not token_words.is_its(token, shown):
            self._pay(self._rations.source(heard.source))
            raise Refused(refusing.token_unknown())
        now = self._means.now()
        if token.expires_at <= now:
            raise Refused(refusing.token_expired())
        if not token_words.may_be_used(token, heard.source):
            raise Refused(refusing.token_elsewhere())
        self._rations.good(token.id, shown.digest)
        self._pay(self._rations.proved(token.id))
        await tokens.used(conn, token.id, heard.source.partition("%")[0], now)
        return Holder(token.tenant, frozenset(token.rights), token.id, token.home, token.owner)

    def _may(self, route: Route, holder: Holder) -> None:
        assert route.right is not None
        if (holder.home is not None or holder.owner is not None) and not route.own:
            raise Refused(refusing.not_found())
        if route.right not in holder.rights:
            raise Refused(refusing.right_missing(route.right))

    async def _acted_for(self, conn: Connection, heard: Heard, route: Route, holder: Holder) -> int:
        """Return for which tenant this is done: the token's own, or the one that `?tenant=` names."""
        named = dict(typed.pairs(heard.query)).get("tenant")
        if named is None:
            return holder.tenant
        if route.right in REGISTRYS:
            raise Refused(refusing.field_unknown("tenants are made and bounded by the registry, not for one of them"))
        if holder.tenant != REGISTRY or ACT not in holder.rights:
            raise Refused(refusing.right_missing(ACT))
        tenant = await desks.tenant_called(conn, named)
        if tenant is None:
            raise Refused(refusing.not_found())
        return tenant

    async def _once(self, conn: Connection, heard: Heard, route: Route, asked: Asked) -> Answer:
        key = heard.headers.get("idempotency-key")
        work = _within(route)
        if key is None or heard.method in SAFE:
            return await work(conn, self._means, asked)
        request = b"\0".join((heard.method.encode(), heard.path.encode(), heard.query.encode(), heard.body))
        return await answering.keyed(conn, self._means, asked, key, request, lambda: work(conn, self._means, asked))

    def _asked(self, heard: Heard, route: Route, path: Mapping[str, str], who: Holder, tenant: int) -> Asked:
        """Read what is said. Raises `Refused`."""
        if heard.over:
            raise Refused(refusing.body_too_large(route.most))
        accept = heard.headers.get("accept", "")
        if not typed.takes(accept, route.gives):
            raise Refused(refusing.not_acceptable(" or ".join(route.gives)))
        media = typed.media(heard.headers.get("content-type", ""))
        body: Any = None
        if route.body is not None or route.media != (typed.JSON,):
            if media not in route.media and heard.method not in SAFE:
                raise Refused(refusing.media_type(" or ".join(route.media)))
            if route.body is not None and media == typed.JSON:  # of a path that takes other types too, as octets
                body = typed.body(heard.body, route.body)
        elif heard.body:
            raise Refused(refusing.field_unknown("this path takes no body"))
        return Asked(
            path, typed.query(heard.query, route.query), body, heard.body, media, accept, heard.source,
            self._means.now(), tenant, who, heard.certificate, heard.headers.get("if-match", ""), heard.server_name,
        )  # fmt: skip


def _shown(credentials: str) -> token_words.Shown | None:
    scheme, _, text = credentials.partition(" ")
    return token_words.read(text.strip()) if scheme.lower() == "bearer" else None


def _within(route: Route) -> Callable[[Connection, Means, Asked], Awaitable[Answer]]:
    assert route.within is not None
    return route.within
