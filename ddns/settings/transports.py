"""The connections by which messages come: TCP, TLS, HTTPS and QUIC."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Tcp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Connections to each worker, over TCP, TLS, HTTPS and QUIC together."""

    clients: Annotated[int, Meta(ge=1, description="Connections at a time; the longest idle one makes room.")] = 500
    per_client: Annotated[int, Meta(ge=1, description="Connections at a time from one IPv4 address or IPv6 /56.")] = 50
    in_flight: Annotated[int, Meta(ge=1, description="Messages of one connection that wait for their answers.")] = 100
    idle: Annotated[
        float,
        Meta(ge=0.1, le=3600, description="Seconds of silence after which one is closed; fewer when half are taken."),
    ] = 10.0
    message: Annotated[
        float, Meta(ge=0.1, le=3600, description="Seconds for one message from its first octet to its last.")
    ] = 10.0
    unread: Annotated[
        float, Meta(ge=0.1, le=3600, description="Seconds for which a client may leave its answers unread.")
    ] = 10.0
    held_mib: Annotated[
        int, Meta(ge=1, description="MiB of unfinished messages and unread answers of all connections together.")
    ] = 64


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """DNS over TLS, and the certificate that HTTPS and QUIC show too."""

    listen: Annotated[
        tuple[str, ...], Meta(description="Addresses and ports for DNS over TLS; for the Internet, port 853.")
    ] = ()
    certificate: Annotated[
        str,
        Meta(description="The certificate and its chain, PEM; empty: one that the service makes itself, for DANE."),
    ] = ""
    key: Annotated[str, Meta(description="The certificate's private key, PEM, without a password.")] = ""
    name: Annotated[
        str,
        Meta(description="This server's name, empty: [serve] name; the zone here that holds it gets its TLSA records."),
    ] = ""
    port: Annotated[
        int, Meta(ge=0, le=0xFFFF, description="The port that clients know, if another than listened on; 0: the same.")
    ] = 0
    handshake: Annotated[float, Meta(ge=0.1, le=60, description="Seconds for a handshake.")] = 5.0
    handshakes: Annotated[
        float,
        Meta(ge=0.1, description="Handshakes a second that one client may begin; five times as many at once."),
    ] = 20.0
    roll: Annotated[
        float,
        Meta(ge=0, le=604800, description="Seconds for which a new key's TLSA is published before the key is shown."),
    ] = 900.0


class Https(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """DNS over HTTPS, at the path /dns-query."""

    listen: Annotated[
        tuple[str, ...], Meta(description="Addresses and ports for DNS over HTTPS; for the Internet, port 443.")
    ] = ()
    port: Annotated[
        int, Meta(ge=0, le=0xFFFF, description="The port that clients know, if another than listened on; 0: the same.")
    ] = 0


class Quic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """DNS over QUIC; the first worker serves it."""

    listen: Annotated[
        tuple[str, ...], Meta(description="Addresses and ports for DNS over QUIC; for the Internet, port 853.")
    ] = ()
    port: Annotated[
        int, Meta(ge=0, le=0xFFFF, description="The port that clients know, if another than listened on; 0: the same.")
    ] = 0
