"""One request and one response as octets and words: what the channel hears, and what it sends."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from cryptography import x509

from ddns.web.routes import JSON, Listener


class Heard(msgspec.Struct, frozen=True):
    """A request whose body is whole; *over* says that the body was longer than its route allows and was not kept."""

    listener: Listener
    method: str
    path: str  # as it was sent, with percent signs, without the query
    query: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    over: bool
    source: str
    certificate: x509.Certificate | None = None
    server_name: str = ""


class Response(msgspec.Struct, frozen=True):
    """What is sent back."""

    status: int
    body: bytes
    media: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
