"""A message and its signature taken apart: the first step of every UPDATE."""

from __future__ import annotations

from ddns.auth import sig0, trailer, tsig
from ddns.auth.sig0 import Sig0Record
from ddns.auth.tsig import TsigRecord
from ddns.dns import twin
from ddns.dns.codes import Ede, Rcode, Type
from ddns.dns.refusal import Refusal

# Nothing is writable by default, whatever the update would have done (RFC 3007 §2: signed requests only).
UNSIGNED = Refusal(
    "update-unsigned",
    Rcode.REFUSED,
    "Updates must be signed with an enrolled key: SIG(0) or TSIG.",
    Ede.PROHIBITED,
)


def open_signed(wire: bytes) -> TsigRecord | Sig0Record | Refusal:
    """Cut the signature off *wire*, one TSIG or one SIG(0); what is signed is the record's *message*."""
    return twin.open_signed(wire, TsigRecord, tsig.NAMED, Sig0Record) or _open_signed(wire)


def _open_signed(wire: bytes) -> TsigRecord | Sig0Record | Refusal:
    found = trailer.find(wire)
    if found is None:
        return UNSIGNED
    if isinstance(found, Refusal):
        return found
    return tsig.read(wire, found) if found.type == Type.TSIG else sig0.read(wire, found)
