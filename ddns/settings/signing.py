"""How the service reaches the signer, and what it has signed while somebody waits."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Signer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the service reaches the signer, the only program that opens private keys."""

    socket: Annotated[
        str, Meta(description="The signer's unix socket; empty: run/signer.sock in the state folder.")
    ] = ""
    wait: Annotated[
        float,
        Meta(ge=0.01, le=60, description="Seconds that an update waits for its signatures before it is kept unsigned."),
    ] = 1.0
    keys: Annotated[
        int,
        Meta(
            ge=1, description="Zones whose opened keys the signer remembers, some 3.5 KiB each; others are read anew."
        ),
    ] = 20_000


class Compact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each worker has signed for zones with compact denial (`--denial compact`) when somebody asks for it."""

    rate: Annotated[
        float,
        Meta(
            ge=1,
            le=100_000,
            description="Names a second that are signed, half of them for askers whose address is proved: over TCP or "
            "by a cookie; half of either for what wildcards answer. Who finds none left is told to come by TCP, and "
            "there gets SERVFAIL.",
        ),
    ] = 2000.0
    each: Annotated[
        float, Meta(ge=1, le=100_000, description="Names a second for one IPv4 /24 or IPv6 /56; twice as many at once.")
    ] = 100.0
    waiting: Annotated[int, Meta(ge=1, le=100_000, description="Questions that wait for signatures.")] = 512
    wait: Annotated[
        float, Meta(ge=0.01, le=10, description="Seconds that one waits; a resolver asks another server then.")
    ] = 1.0
    memory_mib: Annotated[
        int, Meta(ge=1, le=65_536, description="MiB of signed denials that are remembered, some 900 octets each.")
    ] = 16
