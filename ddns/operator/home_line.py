"""A line of the file that `ddns home import` reads: one home, as a JSON object, checked.

Law: what `read` returns can be written as it is. Everything else is one sentence that says what is wrong and the cure.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import msgspec

from ddns.auth import keys
from ddns.auth.keys import BadKey
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.masterfile import BadMasterFile
from ddns.dns.names import BadName, Name
from ddns.dns.records import BadRdata, Rdata, RRset
from ddns.dns.text import rdata_from_text
from ddns.dns.zonefile import read_beside
from ddns.homes.delegating import home_records
from ddns.homes.labels import LabelRules
from ddns.operator import words
from ddns.operator.fault import CannotDo

MOST_OCTETS = 256 * 1024  # of a line
MOST_RECORDS = 1000  # of a home: as many as one update may bring (ddns.zone.limits)


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    label: str
    key: str = ""
    records: str = ""


class NewHome(msgspec.Struct, frozen=True):
    """A home that is to be: its name, all records of its zone, and its KEY's RDATA with algorithm and tag.

    *line* says where it stands. Without a key *key* is empty.
    """

    line: int
    name: Name
    records: tuple[RRset, ...]
    key: Rdata = b""
    algorithm: int = 0
    tag: int = 0


class BadLine(ValueError):
    """A line that is no home; the message is a sentence without the line's number."""


_DECODER = msgspec.json.Decoder(_Line)


class Named(msgspec.Struct, frozen=True):
    """A line whose home has a name; the rest of it is not looked at yet. *line* says where it stands."""

    line: int
    name: Name
    said: _Line


def name_of(line: bytes, number: int, registry: Name, rules: LabelRules | None = None) -> Named:
    """Return whose home *line* is in the zone *registry*, which has these *rules* for labels. Raises `BadLine`."""
    if len(line) > MOST_OCTETS:
        raise BadLine(f"it is longer than {MOST_OCTETS} octets; a home is one line")
    try:
        said = _DECODER.decode(line)
    except msgspec.MsgspecError as error:
        raise BadLine(
            f"it is no home ({error}); write "
            '{"label": "smith", "key": "512 3 13 BASE64", "records": "@ 300 A 192.0.2.1"}'
        ) from None
    except UnicodeDecodeError:
        raise BadLine("it is not UTF-8; write the file anew in that encoding") from None
    try:
        home = names.prepend(words.read_label(said.label, rules), registry)
        words.refuse_special(home)
    except BadName as error:
        raise BadLine(f"the home {said.label!r} cannot be named: {error}; choose a shorter label") from None
    except CannotDo as error:
        raise BadLine(str(error).rstrip(".")) from None
    return Named(number, home, said)


def read(named: Named, apex: Mapping[int, RRset]) -> NewHome:
    """Return the home of a line, in the registry's zone whose apex has the RRsets *apex*. Raises `BadLine`."""
    home, said = named.name, named.said
    key, algorithm, tag = read_key(said.key, home)
    given = home_records(home, dict(apex), key or None)
    try:
        records = read_beside(io.BytesIO(said.records.encode()), "records", home, given, MOST_RECORDS)
    except BadMasterFile as error:
        raise BadLine(f"in its {error}") from None
    return NewHome(named.line, home, records, key, algorithm, tag)


def read_key(text: str, home: Name) -> tuple[Rdata, int, int]:
    """Return RDATA, algorithm and tag of a KEY record's data. Raises `BadLine`."""
    if not text:
        return b"", 0, 0
    try:
        rdata = rdata_from_text(Type.KEY, text.encode().split(), home)
        algorithm, tag = keys.check(rdata)
    except (BadRdata, BadKey) as error:
        raise BadLine(f"its key is not fit: {error}") from None
    return rdata, algorithm, tag
