"""What a path of the HTTPS API is: its types, who may ask, and the handler; OpenAPI is made from the same.

Law: a handler gets values that are parsed, bounded and allowed already, and gives an `Answer` or raises `Refused`.
It never reads a header, a clock or a pool by itself. The table of all routes is `ddns.web.table`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

import msgspec
from cryptography import x509

from ddns.auth.sealing import Sealer
from ddns.dns.refusal import Refusal
from ddns.proof.jwk import PublicJwk
from ddns.signing.client import SignerClient
from ddns.store.pool import Connection
from ddns.web.masa_client import MasaClient
from ddns.web.rations import Rations

JSON = "application/json"
JOSE = "application/jose+json"
BODY = 64 * 1024  # octets of a body, where a route says nothing else


class Refused(Exception):
    """A request that is refused; whatever its transaction had done is undone. The code has its row in the catalogue."""

    def __init__(self, refusal: Refusal, retry_after: int = 0) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal
        self.retry_after = retry_after  # seconds; 0: nothing is said


class Listener(StrEnum):
    """Where a route answers: among people and programs, or among devices, which may show a certificate."""

    PEOPLE = "people"
    DEVICES = "devices"
    BOTH = "both"


class Holder(msgspec.Struct, frozen=True):
    """Who asks, as a token says: nobody (no token), an operator of a tenant, or an owner's or a home's reader."""

    tenant: int = 1
    rights: frozenset[str] = frozenset()
    token: str = ""  # its id; empty: nobody
    home: int | None = None  # the zone of the only home that may be read
    owner: UUID | None = None  # the owner whose homes may be read, and no others

    @property
    def principal(self) -> str:
        """Return how events and the journal name the asker."""
        return f"token:{self.token}" if self.token else "nobody"


class Asked(msgspec.Struct, frozen=True):
    """One request, as its handler sees it. *now* in seconds since 1970; *tenant* is whose transaction it is.

    *query* and *body* are values of the route's types; a route without a body type finds the body in *octets*.
    """

    path: Mapping[str, str]  # the values of {names} in the path, without percent signs
    query: Any
    body: Any
    octets: bytes
    media: str  # Content-Type, in lower case, without parameters
    accept: str
    source: str  # the client's address
    now: int
    tenant: int
    who: Holder
    certificate: x509.Certificate | None = None  # shown, and its key proved, by TLS; nobody has judged it
    if_match: str = ""
    server_name: str = ""  # as TLS was asked for it


class Answer(msgspec.Struct, frozen=True):
    """What goes back: *body* is a Struct (or a list of them) as JSON, or octets of the type *media*."""

    body: Any = None
    status: int = 200
    media: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Place(msgspec.Struct, frozen=True):
    """Where clients find this server: its *name* (without the final dot) and its ports; 0 or empty: it has none."""

    name: str = ""
    dns: int = 0
    tls: int = 0
    web: int = 0


class Verifies(Protocol):
    """Bounds what strangers' statements cost; `ddns.web.verifying` has it."""

    def bill(self, host: str) -> Any:
        """Return a context: charge a statement from the address *host* with what is done inside, as a `Bill` tells."""

    def done(self, host: str, key: PublicJwk) -> None:
        """Remember that something that *key* had signed was carried out for the address *host*."""


class Enrolments(Protocol):
    """Makes the homes that are asked for at the same time together; `ddns.web.making_queue` has it."""

    async def enrol(self, one: Any) -> Answer:
        """Return the answer to *one*, a `making_queue.Enrolling`. Raises `Refused` and `BadProof`."""


class Means(Protocol):
    """What handlers work with; `ddns.desk` has it."""

    signer: SignerClient
    sealer: Sealer
    secret: bytes  # of secrets.key: derive from it, never show it
    place: Place
    masa: MasaClient
    enrolments: Enrolments
    verifying: Verifies
    rations: Rations

    def now(self) -> int:
        """Return the seconds since 1970."""

    def bulk(self) -> SignerClient:
        """Return a line to the signer for work that waits behind everything else; its user closes it."""

    def dice(self, octets: int) -> bytes:
        """Return so many random octets."""

    def below(self, bound: int) -> int:
        """Return a whole number by chance, from 0 to below *bound*."""

    def transaction(self, tenant: int) -> Any:
        """Return an async context: a connection in a transaction of *tenant*, which sees that tenant's rows alone."""

    async def connection(self, tenant: int) -> Connection:
        """Return a connection of *tenant* for work of many transactions; its user closes it."""


Within = Callable[[Connection, Means, Asked], Awaitable[Answer]]
Alone = Callable[[Means, Asked], Awaitable[Answer]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method at one path.

    *within* is called inside a transaction of the asker's tenant, which commits when it has answered; *alone* enters
    its own (`means.transaction`), for what waits for others on the way. Exactly one of them is given. *right* None:
    no token is asked for, the proof is in the request. *query* and *body* are Structs that forbid unknown fields;
    *answers* maps statuses to the Struct that is answered, or None: no JSON.
    """

    method: str
    path: str
    summary: str
    tag: str
    right: str | None
    answers: Mapping[int, Any]
    within: Within | None = None
    alone: Alone | None = None
    query: Any = None
    body: Any = None
    media: tuple[str, ...] = (JSON,)  # the types of body that are taken
    gives: tuple[str, ...] = (JSON,)  # the types of body that are answered
    most: int = BODY  # octets of the body
    seconds: float = 0  # that it may take, where that is more than `[web] seconds`
    matches: bool = False  # If-Match is heeded, and answers have an ETag
    own: bool = False  # a home's or an owner's own token may ask too; the handler then looks at *who*
    listener: Listener = Listener.PEOPLE
    api: bool = True  # False: not part of the described API (pages, what other standards describe)
