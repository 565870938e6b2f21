"""All settings together, as they are read from a file."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

import msgspec

from ddns import tomlfile
from ddns.dns import names
from ddns.settings.delegation import Delegation
from ddns.settings.desk import Enrol, Web
from ddns.settings.floods import Flood, Rrl, Sig0
from ddns.settings.messages import Edns, Tsig
from ddns.settings.places import address
from ddns.settings.service import Cache, Database, Serve
from ddns.settings.signing import Compact, Signer
from ddns.settings.transfers import Transfer
from ddns.settings.transports import Https, Quic, Tcp, Tls
from ddns.settings.updates import Dane, Lease, Refusals, Update
from ddns.settings.watching import Watch

_USUAL_WORKERS = 4  # more than this is worth asking for, not guessing


class BadSettings(ValueError):
    """Settings that cannot be used; the message is one sentence with file, key and cure."""

    exit_status = 1


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings; each field is a table of the file."""

    serve: Serve = Serve()
    database: Database = Database()
    signer: Signer = Signer()
    compact: Compact = Compact()
    cache: Cache = Cache()
    tcp: Tcp = Tcp()
    tls: Tls = Tls()
    https: Https = Https()
    quic: Quic = Quic()
    web: Web = Web()
    enrol: Enrol = Enrol()
    update: Update = Update()
    lease: Lease = Lease()
    dane: Dane = Dane()
    flood: Flood = Flood()
    sig0: Sig0 = Sig0()
    refusals: Refusals = Refusals()
    transfer: Transfer = Transfer()
    watch: Watch = Watch()
    delegation: Delegation = Delegation()
    tsig: Tsig = Tsig()
    edns: Edns = Edns()
    rrl: Rrl = Rrl()


def load(path: Path | None) -> Settings:
    """Return the settings of the file *path*, or the defaults, with the number of workers decided.

    Raises `BadSettings`.
    """
    if path is None:
        settings = Settings()
    else:
        try:
            octets = path.read_bytes()
        except OSError as error:
            raise BadSettings(f"the settings cannot be read from {path}: {error.strerror or error}") from None
        settings = parse(octets, str(path))
    workers = settings.serve.workers or min(len(os.sched_getaffinity(0)), _USUAL_WORKERS)
    return msgspec.structs.replace(settings, serve=msgspec.structs.replace(settings.serve, workers=workers))


def parse(octets: bytes, filename: str) -> Settings:
    """Return the settings that the TOML *octets* of *filename* say. Raises `BadSettings`."""
    try:
        settings = tomlfile.parse(octets, filename, Settings)
    except tomlfile.BadToml as error:
        raise BadSettings(str(error)) from None
    for key, text in (("[serve] name", settings.serve.name), ("[edns] report", settings.edns.report)):
        try:
            names.from_text(text or ".")
        except names.BadName as error:
            raise BadSettings(f"{filename}: {key}: {error}") from None
    for text in settings.transfer.notify_from:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise BadSettings(f"{filename}: [transfer] notify_from: {text!r} is no address") from None
    for key, text in (
        ("[watch] resolver", settings.watch.resolver),
        ("[delegation] witness", settings.delegation.witness),
        ("[delegation] validator", settings.delegation.validator),
    ):
        if text:
            try:
                host, _port = address(text)
            except ValueError as error:
                raise BadSettings(f"{filename}: {key}: {error}") from None
            if key == "[delegation] validator" and not ipaddress.ip_address(host).is_loopback:
                raise BadSettings(
                    f"{filename}: {key}: {host} is not on this machine; what it says is believed, so let it be at "
                    "127.0.0.1 or [::1]"
                )
    if settings.delegation.scan_every > settings.delegation.dark_after:
        raise BadSettings(f"{filename}: [delegation] scan_every must not be longer than dark_after")
    if settings.watch.fast > settings.watch.every:
        raise BadSettings(f"{filename}: [watch] fast must not be longer than every")
    for text in settings.rrl.exempt:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise BadSettings(f"{filename}: [rrl] exempt: {text!r} is no network; write 192.0.2.0/24") from None
    lease = settings.lease
    for low, usual, high in (("minimum", "default", "maximum"), ("key_minimum", "key_default", "key_maximum")):
        if not getattr(lease, low) <= getattr(lease, usual) <= getattr(lease, high):
            raise BadSettings(f"{filename}: [lease] {usual} must lie between {low} and {high}")
    listens = [
        (f"[{table}] listen", getattr(settings, table).listen) for table in ("serve", "tls", "https", "quic", "web")
    ]
    for key, texts in (*listens, ("[web] devices", settings.web.devices)):
        for text in texts:
            try:
                address(text)
            except ValueError as error:
                raise BadSettings(f"{filename}: {key}: {error}") from None
    if bool(settings.tls.certificate) != bool(settings.tls.key):
        raise BadSettings(f"{filename}: [tls] certificate and key belong together; give both or neither")
    return settings
