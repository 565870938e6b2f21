"""The service's settings: one frozen type per table of `ddns.toml`, a sentence and a safe default per field.

Law: an unknown table or key is an error that names it; what is not written keeps its default. The
sentences here are the comments of `deploy/ddns.toml`, which is this package's own output.
"""

from __future__ import annotations

from ddns.settings.delegation import Delegation
from ddns.settings.desk import Enrol, Web
from ddns.settings.floods import Flood, Rrl, Sig0
from ddns.settings.messages import Edns, Tsig
from ddns.settings.places import DNS_PORT, HTTPS_PORT, TLS_PORT, address, address_text
from ddns.settings.service import MOST_WORKERS, Cache, Database, Serve
from ddns.settings.signing import Compact, Signer
from ddns.settings.transfers import Transfer
from ddns.settings.transports import Https, Quic, Tcp, Tls
from ddns.settings.updates import Dane, Lease, Refusals, Update
from ddns.settings.watching import Watch
from ddns.settings.whole import BadSettings, Settings, load, parse
from ddns.settings.written import to_toml

__all__ = [
    "DNS_PORT",
    "HTTPS_PORT",
    "MOST_WORKERS",
    "TLS_PORT",
    "BadSettings",
    "Cache",
    "Compact",
    "Dane",
    "Database",
    "Delegation",
    "Edns",
    "Enrol",
    "Flood",
    "Https",
    "Lease",
    "Quic",
    "Refusals",
    "Rrl",
    "Serve",
    "Settings",
    "Sig0",
    "Signer",
    "Tcp",
    "Tls",
    "Transfer",
    "Tsig",
    "Update",
    "Watch",
    "Web",
    "address",
    "address_text",
    "load",
    "parse",
    "to_toml",
]
