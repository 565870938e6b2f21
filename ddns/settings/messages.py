"""What messages may carry: signatures by TSIG, and options of EDNS."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Tsig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shared secrets."""

    allow_sha1: Annotated[
        bool, Meta(description="Accept hmac-sha1 too, for old gateways that know nothing else (RFC 8945 §6).")
    ] = False


class Edns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What answers say besides the answer (EDNS)."""

    cookies: Annotated[
        bool, Meta(description="Give and check DNS cookies (RFC 7873), by which askers show that an address is theirs.")
    ] = True
    cookie_secret_file: Annotated[
        str,
        Meta(
            description="A file with one or two cookie secrets, 32 hexadecimal digits a line, the first makes cookies: "
            "for servers beside BIND, Knot or NSD at one address. Empty: secrets of each day from secrets.key."
        ),
    ] = ""
    nsid: Annotated[
        str, Meta(max_length=63, description="The name of this server for those who ask for its NSID; empty: none.")
    ] = ""
    identity: Annotated[
        str, Meta(max_length=63, description="What id.server and hostname.bind say in class CH; empty: refused.")
    ] = ""
    version: Annotated[
        str, Meta(max_length=63, description="What version.server and version.bind say in class CH; empty: refused.")
    ] = ""
    report: Annotated[
        str,
        Meta(
            description="The agent domain to which resolvers report what fails (RFC 9567), outside of all zones "
            "served here; empty: none."
        ),
    ] = ""
