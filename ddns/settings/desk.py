"""The HTTPS API, and how homes are enrolled by it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Web(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The desk: enrolment and the API over HTTPS, in a process of its own; [tcp] bounds its connections too."""

    listen: Annotated[
        tuple[str, ...],
        Meta(description="Addresses and ports for people and programs; the certificate is that of [tls]."),
    ] = ()
    devices: Annotated[
        tuple[str, ...],
        Meta(description="Addresses and ports for devices, which are asked for a certificate of their own there."),
    ] = ()
    port: Annotated[
        int, Meta(ge=0, le=0xFFFF, description="The port that clients know, if another than listened on; 0: the same.")
    ] = 0
    page: Annotated[
        bool, Meta(description="Show /phone, the page that works as an owner's phone; browsers want [tls] certificate.")
    ] = True
    private: Annotated[
        bool, Meta(description="Let webhooks lie at loopback and private addresses too, for networks of one's own.")
    ] = False
    waiting: Annotated[int, Meta(ge=1, description="Requests under way; more are told to come again.")] = 512
    seconds: Annotated[float, Meta(ge=1, le=600, description="Seconds for one request, before it is given up.")] = 20.0
    source_burst: Annotated[
        float, Meta(ge=1, description="Requests at once from one IPv4 address or IPv6 /56 that shows no good token.")
    ] = 60.0
    source_rate: Annotated[float, Meta(gt=0, description="The same, a second.")] = 2.0
    strangers: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="The part of a CPU for statements that are signed by keys by which nothing was done here "
            "lately, all sources together.",
        ),
    ] = 0.25
    token_burst: Annotated[float, Meta(ge=1, description="Requests at once with one token.")] = 200.0
    token_rate: Annotated[float, Meta(gt=0, description="The same, a second.")] = 50.0


class Enrol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How homes that are asked for over HTTPS at the same time come to be together."""

    at_once: Annotated[
        int, Meta(ge=1, le=200, description="Enrolments of one tenant that share a commit; 1: each has its own.")
    ] = 32
    gather_ms: Annotated[
        int, Meta(ge=0, le=1000, description="Milliseconds that the first one waits for others to come.")
    ] = 5
    waiting: Annotated[int, Meta(ge=1, description="Enrolments that wait; more are told to come again.")] = 256
