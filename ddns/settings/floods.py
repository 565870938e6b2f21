"""What bounds who sends too much: updates that wait, answers that are limited, signatures that are verified."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Flood(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How updates wait in one worker until they are judged. Strangers are addresses without a good signature lately."""

    waiting: Annotated[
        int, Meta(ge=16, description="Unjudged updates that wait in each class. Other senders are told to use TCP.")
    ] = 4096
    per_source: Annotated[int, Meta(ge=1, description="Unjudged updates of one address that wait.")] = 256
    strangers: Annotated[
        float, Meta(gt=0, le=0.9, description="The part of its time that strangers get, beside what nobody else uses.")
    ] = 0.2
    known: Annotated[int, Meta(ge=16, description="Addresses with a good signature that are remembered.")] = 65536
    doubts: Annotated[
        int, Meta(ge=1, description="Wrong signatures a second from one such address after which it is a stranger's.")
    ] = 100


class Rrl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Response rate limiting over UDP, per worker: answers a second to one network."""

    answers: Annotated[
        int,
        Meta(ge=0, description="With the same name and type, or without data from the same zone; 0: no limits at all."),
    ] = 200
    errors: Annotated[int, Meta(ge=0, description="REFUSED, FORMERR and other errors; 0: unlimited.")] = 100
    every: Annotated[int, Meta(ge=0, description="All together; 0: unlimited.")] = 1000
    window: Annotated[
        int, Meta(ge=1, le=3600, description="Seconds that a network has to be below its rate to be answered again.")
    ] = 5
    slip: Annotated[
        int,
        Meta(
            ge=0,
            le=10,
            description="Every so many answers over the rate one goes out truncated, so that an honest resolver comes "
            "by TCP; 0: none.",
        ),
    ] = 2
    ipv4_prefix: Annotated[int, Meta(ge=8, le=32, description="Bits of IPv4 addresses that make a network.")] = 24
    ipv6_prefix: Annotated[int, Meta(ge=16, le=128, description="Bits of IPv6 addresses that make a network.")] = 56
    exempt: Annotated[
        tuple[str, ...], Meta(description="Networks that are never limited. A good DNS cookie exempts anybody.")
    ] = ("127.0.0.0/8", "::1/128")
    table: Annotated[int, Meta(ge=1024, description="Networks and accounts that are counted at a time.")] = 100_000


class Sig0(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many SIG(0) verifications that fail are paid for, so that they cannot use up the CPU."""

    source_burst: Annotated[float, Meta(gt=0, description="At once, from one IPv4 /24 or IPv6 /56.")] = 64.0
    source_rate: Annotated[float, Meta(gt=0, description="A second, from one IPv4 /24 or IPv6 /56.")] = 8.0
    key_burst: Annotated[float, Meta(gt=0, description="At once, in the name of one key.")] = 16.0
    key_rate: Annotated[float, Meta(gt=0, description="A second, in the name of one key.")] = 2.0
    worker_burst: Annotated[float, Meta(gt=0, description="At once, in one worker.")] = 500.0
    worker_rate: Annotated[float, Meta(gt=0, description="A second, in one worker.")] = 250.0
    known_for: Annotated[
        float, Meta(ge=0, description="Seconds for which a source that showed a good signature is trusted more.")
    ] = 86400.0
    purses: Annotated[int, Meta(ge=16, description="Sources and keys that are counted at a time.")] = 65536
    window: Annotated[
        int, Meta(ge=60, le=86400, description="The longest time in seconds that one signature may be valid for.")
    ] = 3900
