"""What updates may ask for, how long records last, and what is kept of those that were refused."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ddns.dns.codes import MAX_TTL


class Update(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one update may ask for, and how many may wait."""

    transport: Annotated[
        str,
        Meta(pattern="^(any|encrypted)$", description="How updates may come; encrypted: by TLS, HTTPS or QUIC alone."),
    ] = "any"
    records_per_update: Annotated[int, Meta(ge=1, description="Prerequisites and operations of one update.")] = 1000
    records_per_rrset: Annotated[int, Meta(ge=1, description="Records of one name and type.")] = 256
    octets_per_rrset: Annotated[
        int, Meta(ge=512, le=48 * 1024, description="Octets of data of one name and type; one answer must hold them.")
    ] = 32 * 1024
    types_per_name: Annotated[int, Meta(ge=1, description="Types of records at one name.")] = 100
    ttl: Annotated[int, Meta(ge=1, le=MAX_TTL, description="The greatest TTL in seconds.")] = MAX_TTL
    waiting: Annotated[int, Meta(ge=1, description="Updates that wait in one worker; more are refused.")] = 4096
    per_key: Annotated[int, Meta(ge=1, description="Updates of one key that wait in one worker.")] = 1024
    at_once: Annotated[int, Meta(ge=1, description="Updates that share one commit; the keys take turns.")] = 100
    lookups: Annotated[int, Meta(ge=1, description="Updates that wait until their key is looked up.")] = 1024
    keys: Annotated[int, Meta(ge=1, description="Keys that one worker remembers.")] = 100_000


class Lease(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long records are kept that were sent with a lease (RFC 9664). Others stay until they are deleted."""

    minimum: Annotated[int, Meta(ge=10, le=86_400, description="Seconds; who asks for less gets so much.")] = 30
    default: Annotated[int, Meta(ge=10, description="Seconds, for a registration that asks for none.")] = 7200
    maximum: Annotated[int, Meta(ge=10, le=31_536_000, description="Seconds; who asks for more gets so much.")] = 86_400
    key_minimum: Annotated[int, Meta(ge=10, description="The same for KEY records, which keep a name reserved.")] = 30
    key_default: Annotated[int, Meta(ge=10, description="Seconds that a registered name stays reserved.")] = 1_209_600
    key_maximum: Annotated[int, Meta(ge=10, le=31_536_000, description="Seconds that a KEY is kept at most.")] = (
        1_209_600
    )
    grace: Annotated[
        int,
        Meta(ge=0, description="Seconds after an outage in which nothing ends; a longer outage counts twice, then."),
    ] = 600


class Dane(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What zones demand of their TLSA records, unless `ddns zone dane` says otherwise."""

    strict: Annotated[
        bool,
        Meta(
            description="Guard every update, not only those of gateways that ask for it: no record that caches need "
            "goes before another is safe."
        ),
    ] = False
    usages: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=3)], ...],
        Meta(min_length=1, description="The certificate usages that are taken: 3 a key, 2 a CA of the home's own."),
    ] = (3, 2)


class Refusals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The journal of refusals, which `ddns explain` reads."""

    keep: Annotated[int, Meta(ge=0, description="Refusals kept, the newest ones; 0 keeps no journal.")] = 100_000
    days: Annotated[int, Meta(ge=1, le=3650, description="Days after which a refusal is forgotten.")] = 30
    octets: Annotated[
        int, Meta(ge=0, le=65535, description="The longest update that is kept whole, so that it can be judged again.")
    ] = 4096
    rate: Annotated[
        float, Meta(gt=0, le=1000, description="Refusals of enrolled keys that one worker writes a second.")
    ] = 20.0
    strangers: Annotated[
        float, Meta(gt=0, le=1000, description="Refusals of strangers that one worker writes a second; others count.")
    ] = 1.0
