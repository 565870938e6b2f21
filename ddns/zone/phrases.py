"""What an update asks for, in words: its prerequisites and operations, each a phrase with name and type."""

from __future__ import annotations

from collections.abc import Iterator

from ddns.dns import names
from ddns.dns.codes import Class, Type
from ddns.dns.spelling import type_to_text
from ddns.dns.text import rdata_to_text
from ddns.zone.request import Operation, Prerequisite, Update

MOST_RDATA = 120  # characters of a record's data


def asked(update: Update, *, rdata: bool = False) -> Iterator[str]:
    """Yield the phrases of *update* in its order, with the data of records where *rdata* is asked for.

    What was refused as malformed ends the phrases of its section; the names and types behind it are there all the
    same, because rights are asked for them.
    """
    yield from (needs(one, rdata=rdata) for one in update.prerequisites)
    if update.prerequisite_fault is not None:
        yield "needs something malformed"
    yield from (does(one, rdata=rdata) for one in update.operations)
    said = {(one.name, one.type) for one in update.operations}
    yield from (f"write {_what(name, rdtype)}" for name, rdtype in update.writes if (name, rdtype) not in said)


def needs(one: Prerequisite, *, rdata: bool = False) -> str:
    """Return a prerequisite as a phrase (RFC 2136 §2.4)."""
    if one.type == Type.ANY:
        how = "in use" if one.rdclass == Class.ANY else "not in use"
        return f"needs {names.to_text(one.name)} {how}"
    if one.rdclass == Class.NONE:
        return f"needs no {_what(one.name, one.type)}"
    return f"needs {_what(one.name, one.type)}{_data(one.type, one.rdata) if rdata and one.rdata else ''}"


def does(one: Operation, *, rdata: bool = False) -> str:
    """Return an operation as a phrase (RFC 2136 §2.5)."""
    data = _data(one.type, one.rdata) if rdata and one.rdata else ""
    if one.rdclass == Class.IN:
        ttl = f" {one.ttl}" if rdata else ""
        return f"add {names.to_text(one.name)}{ttl} {type_to_text(one.type)}{data}"
    if one.rdclass == Class.NONE:
        return f"delete {_what(one.name, one.type)}{data or ' (one record)'}"
    return f"delete {_what(one.name, one.type)}"


def _what(name: bytes, rdtype: int) -> str:
    return f"{names.to_text(name)} {'of all types' if rdtype == Type.ANY else type_to_text(rdtype)}"


def _data(rdtype: int, rdata: bytes) -> str:
    text = rdata_to_text(rdtype, rdata)
    return " " + (text if len(text) <= MOST_RDATA else text[: MOST_RDATA - 1] + "…")
