"""docs/reference/api.md, written from the table of routes.

python -m ddns.web.api_page > docs/reference/api.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from ddns.web.rights import WHAT
from ddns.web.routes import Listener, Route
from ddns.web.table import ROUTES

HEAD = """\
# The HTTPS API

What the command line does for a registry, programs do over HTTPS: the same functions, the same sentences. `ddns serve`
starts the desk where `[web] listen` or `--web ADDR:PORT` says so: TLS 1.3, HTTP/1.1, the certificate of `[tls]` or the
service's own, whose TLSA record is published where the server has a name. This page comes from the table of routes;
[openapi.json](openapi.json) (OpenAPI 3.1) has every field, and `GET /v1/openapi.json` gives it.

```sh
token=$(ddns token add --rights tokens,homes:read --days 30 --json | jq -r .token)
curl -H "Authorization: Bearer $token" https://ns1.example:8443/v1/tokens
```

## How it speaks

- Bodies are JSON objects, in UTF-8, no member twice; unknown fields and parameters are refused by name. Times are
  seconds since 1970.
- A refusal is a problem document (RFC 9457): `code`, `detail` (a sentence that says what to do) and `turn` are those of
  [refusals and their cures](refusals.md), where DNS answers have theirs from too. Another tenant's thing and one that
  is not there are the same 404.
- `Authorization: Bearer np1.…` is a token. It is shown once, has narrow rights, lasts 400 days at most, and is bound to
  networks if you like; revoked, it is refused with the next request. Owners and gateways have no tokens: they sign.
- `Idempotency-Key` with any word of your own makes a request with a token safe to repeat for a day: the second one gets
  the first one's answer. The document says which requests take it; an import needs none, for it makes nothing twice. A
  signed statement is its own key: sent again it is answered again, and done once.
- Lists come in pages: `limit` (at most 500) and `after`, which is `next` of the page before, until that is empty.
- Who asks too often gets 429 and `Retry-After`; so does, with 503, who comes while the desk is full or the database
  away. Wait so long, and a bit more.
- `?tenant=NAME` does it for that tenant; for the registry's own tokens with `tenants:act` alone.
- There are no cookies, no redirects, and no CORS headers: no page of somebody else's can use a person's browser here.
"""


def page(routes: Iterable[Route]) -> str:
    """Return the page."""
    shown = list(routes)
    out = [HEAD]
    for listener, title, words in (
        (Listener.PEOPLE, "For people and programs", ""),
        (
            Listener.DEVICES,
            "For devices",
            "These answer where `[web] devices` listens, which asks for a certificate.\n",
        ),
    ):
        mine = [one for one in shown if one.listener in (listener, Listener.BOTH)]
        if mine:
            out += [f"## {title}\n", *([words] if words else []), _table(mine)]
    out += [
        "## Rights\n\nThere is none that means all of them.\n",
        "| Right | Lets a token |\n|---|---|\n" + "".join(f"| `{right}` | {what} |\n" for right, what in WHAT.items()),
    ]
    return "\n".join(out)


def _table(routes: Iterable[Route]) -> str:
    rows = "".join(
        f"| `{one.method} {one.path}` | {_right(one)} | {one.summary.rstrip('.')} |\n"
        for one in sorted(routes, key=lambda one: (one.path, one.method))
    )
    return f"| Request | Right | Does |\n|---|---|---|\n{rows}"


def _right(route: Route) -> str:
    return "none" if route.right is None else f"`{route.right}`"


if __name__ == "__main__":
    sys.stdout.write(page(ROUTES))
