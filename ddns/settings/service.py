"""Where the service listens, what it keeps in memory, and where its database is."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

MOST_WORKERS = 64


class Serve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the service listens and how many processes answer."""

    listen: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="Addresses and ports, UDP and TCP. For the Internet: your own addresses and port 53.",
        ),
    ] = ("127.0.0.1:5300", "[::1]:5300")
    name: Annotated[
        str,
        Meta(
            description="The server's own host name, as in the zones' NS records. What proves it is published there: "
            "the KEY that signs answers to SIG(0), the TLSA of its certificate. Empty: neither."
        ),
    ] = ""
    workers: Annotated[
        int,
        Meta(ge=0, le=MOST_WORKERS, description="Processes that answer; 0 means one for each CPU, four at most."),
    ] = 0


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which Postgres holds the zones. --dsn, DDNS_DSN, --state and DDNS_STATE win over these."""

    dsn: Annotated[
        str, Meta(description="A Postgres (15 or newer) of your own; empty: one that the service starts itself.")
    ] = ""
    state: Annotated[
        str,
        Meta(description="The folder of the embedded database and of key files; empty: in the user's state folder."),
    ] = ""
    memory_mib: Annotated[
        int,
        Meta(
            ge=16,
            le=65_536,
            description="MiB that the embedded database keeps of its pages (shared_buffers). For a big registry about "
            "a third of the machine's memory: a million homes make a database of 16 GB, and commits wait for each "
            "page that comes from the disk.",
        ),
    ] = 128
    log_mib: Annotated[
        int,
        Meta(
            ge=256,
            le=1_048_576,
            description="MiB of log that the embedded database gathers on disk before it writes its pages out "
            "(max_wal_size). Where a million homes change within minutes, 16384 spares it to log their pages whole "
            "again and again.",
        ),
    ] = 4096


class Cache(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each worker keeps in memory."""

    memory_mib: Annotated[
        int,
        Meta(
            ge=16,
            description="MiB for zones and ready answers, half of it each; what nobody asks for goes first and is "
            "read again when it is needed. The list of zones comes on top, some 150 octets for each.",
        ),
    ] = 256
    zones: Annotated[
        int,
        Meta(
            ge=0,
            description="Zones loaded ahead at the start, as far as there is room, and homes whose keys are; "
            "others when first asked for.",
        ),
    ] = 20_000
    answers: Annotated[int, Meta(ge=1000, description="Ready answers kept at most; about half a KiB each.")] = 500_000
