"""Master files, read record by record (RFC 1035 §5, RFC 2308 §4, RFC 3597 §5).

Law: the reader is streaming and bounded, follows the directives $ORIGIN, $TTL, $INCLUDE and
$GENERATE, and ends with one sentence that names the file, the line and the cure. Whether the records
make a zone is for `ddns.dns.zonefile`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from ddns.dns import generate, records
from ddns.dns.codes import META_TYPES, Type
from ddns.dns.names import BadName, Name
from ddns.dns.records import BadRdata, Rdata
from ddns.dns.spelling import (
    BadSpelling,
    Quoted,
    Token,
    name_from_text,
    time_from_text,
    type_from_text,
    type_to_text,
    unescape,
)
from ddns.dns.text import rdata_from_text
from ddns.dns.tokens import BadEntry, Entry, entries

MAX_INCLUDES = 8  # ours: how deep files include files

# Opens the file of an $INCLUDE: its path as written, and the file that names it. Raises `OSError`.
Include = Callable[[str, str], tuple[str, BinaryIO]]
Record = tuple[Name, int, int, Rdata]  # owner, type, TTL in seconds, canonical RDATA

_IN = frozenset({b"IN", b"CLASS1"})
_OTHER_CLASSES = frozenset({b"CH", b"HS", b"CS", b"ANY", b"NONE"})


class BadMasterFile(ValueError):
    """A master file that cannot be read; the message is one sentence with file, line and cure."""


class _Frame:
    """A file being read and what an included file may not change for the one that includes it."""

    __slots__ = ("default_ttl", "entries", "filename", "last_ttl", "origin", "owner", "stream")

    def __init__(self, filename: str, stream: BinaryIO, origin: Name) -> None:
        self.filename = filename
        self.stream = stream
        self.entries: Iterator[Entry] = entries(stream)
        self.origin = origin
        self.owner: Name | None = None
        self.default_ttl: int | None = None  # of $TTL
        self.last_ttl: int | None = None  # the last one stated; stands in where no $TTL does (RFC 1035 §5.1)


class Reader:
    """Iterate over the records of *stream*; `filename` and `line` tell where the last one began.

    Relative names end in *origin*. *include* opens the files of $INCLUDE; without it the directive is refused.
    """

    def __init__(self, stream: BinaryIO, filename: str, origin: Name, include: Include | None = None) -> None:
        self.line = 0
        self._include = include
        self._frames = [_Frame(filename, stream, origin)]

    @property
    def filename(self) -> str:
        """Return the file that is being read."""
        return self._frames[-1].filename

    def error(self, sentence: str) -> BadMasterFile:
        """Return *sentence* as an error at the place where the reader stands."""
        return BadMasterFile(f"{self.filename}, line {self.line}: {sentence}")

    def __iter__(self) -> Iterator[Record]:
        try:
            yield from self._read(self._frames[0])
        except BadEntry as error:
            self.line = error.line
            raise self.error(str(error)) from None
        except (BadName, BadSpelling, BadRdata) as error:
            raise self.error(str(error)) from None
        except OSError as error:
            raise self.error(f"the file cannot be read ({error.strerror or error})") from None
        finally:
            for frame in self._frames[1:]:
                frame.stream.close()

    def _read(self, frame: _Frame) -> Iterator[Record]:
        """Yield the records of *frame* and of the files that it includes."""
        last_word: Token = b""
        for line, blank, words in frame.entries:
            self.line = line
            if blank:
                if frame.owner is None:
                    raise BadSpelling("the first record has no owner; begin the line with a name or @")
                yield self._record(frame, words, 0)
                continue
            word = words[0]
            if word.startswith(b"$"):
                directive = word.upper()
                if directive == b"$GENERATE":
                    for generated in generate.expand(words[1:]):
                        frame.owner = name_from_text(generated[0], frame.origin)
                        yield self._record(frame, generated, 1)
                elif directive == b"$INCLUDE":
                    inner = self._open(frame, words)
                    self._frames.append(inner)
                    yield from self._read(inner)
                    self._frames.pop().stream.close()
                else:
                    self._direct(frame, directive, words)
                last_word = b""
                continue
            if word != last_word:
                if type(word) is Quoted:
                    raise BadSpelling("an owner stands in quotes; write the name without them")
                frame.owner = name_from_text(word, frame.origin)
                last_word = word
            yield self._record(frame, words, 1)

    def _record(self, frame: _Frame, words: list[Token], at: int) -> Record:
        """Read TTL and class in either order, the type and the data, from word *at* on."""
        ttl: int | None = None
        in_class = False
        size = len(words)
        while True:
            if at >= size:
                raise BadSpelling("a record ends before its type; write owner, TTL, type and data")
            word = words[at]
            at += 1
            rdtype = _types.get(word)
            if rdtype is not None:
                break
            if word[:1].isdigit() and ttl is None and type(word) is not Quoted:
                ttl = time_from_text(word.decode("utf-8", "replace"))
                continue
            upper = word.upper()
            if upper in _IN and not in_class:
                in_class = True
                continue
            rdtype = self._type(upper, word)
            break
        try:
            rdata = rdata_from_text(rdtype, words[at:], frame.origin)
        except BadRdata:
            if at >= size and rdtype not in (Type.TXT, Type.NULL):
                raise BadRdata(f"the {type_to_text(rdtype)} record has no data; write it behind the type") from None
            raise
        if ttl is not None:
            frame.last_ttl = ttl
        elif frame.default_ttl is not None:
            ttl = frame.default_ttl
        elif frame.last_ttl is not None:
            ttl = frame.last_ttl
        elif rdtype == Type.SOA:
            ttl = frame.last_ttl = records.soa_minimum(rdata)
        else:
            raise BadSpelling("the record has no TTL; begin the file with a line such as $TTL 3600")
        assert frame.owner is not None
        return frame.owner, rdtype, ttl, rdata

    def _type(self, upper: bytes, word: Token) -> int:
        shown = word.decode("utf-8", "replace")
        if upper in _OTHER_CLASSES or upper.startswith(b"CLASS"):
            raise BadSpelling(f"the class {shown} is not served here; write IN")
        rdtype = None if type(word) is Quoted else type_from_text(word)
        if rdtype is None:
            raise BadSpelling(f"{shown!r} is no record type, class or TTL; types without a name are written TYPE12345")
        if rdtype in META_TYPES:
            raise BadSpelling(
                f"the type {type_to_text(rdtype)} belongs in messages, never in a zone; remove the record"
            )
        if len(_types) < 10_000:
            _types[bytes(word)] = rdtype
        return rdtype

    def _direct(self, frame: _Frame, directive: bytes, words: list[Token]) -> None:
        shown = directive.decode("utf-8", "replace")
        if directive not in (b"$ORIGIN", b"$TTL"):
            raise BadSpelling(f"the directive {shown} is not known; $ORIGIN, $TTL, $INCLUDE and $GENERATE are")
        if len(words) != 2 or type(words[1]) is Quoted:
            raise BadSpelling(f"{shown} takes one word, {'a name' if directive == b'$ORIGIN' else 'a time'}")
        if directive == b"$ORIGIN":
            frame.origin = name_from_text(words[1], frame.origin)
        else:
            frame.default_ttl = time_from_text(words[1].decode("utf-8", "replace"))

    def _open(self, frame: _Frame, words: list[Token]) -> _Frame:
        """Open the file of an $INCLUDE: a path, and perhaps the origin in it (RFC 1035 §5.1)."""
        if len(words) not in (2, 3):
            raise BadSpelling("$INCLUDE takes a file and perhaps an origin")
        if self._include is None:
            raise BadSpelling("$INCLUDE is not allowed here; put the records into the file itself")
        if len(self._frames) > MAX_INCLUDES:
            raise BadSpelling(
                f"files include files more than {MAX_INCLUDES} deep; look for a file that includes itself"
            )
        path = unescape(words[1]).decode("utf-8", "replace")
        origin = name_from_text(words[2], frame.origin) if len(words) == 3 else frame.origin
        try:
            filename, stream = self._include(path, frame.filename)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise BadSpelling(f"the file {path} cannot be included ({reason or error})") from None
        inner = _Frame(filename, stream, origin)
        inner.owner, inner.default_ttl, inner.last_ttl = frame.owner, frame.default_ttl, frame.last_ttl
        return inner


_types: dict[bytes, int] = {}  # spellings met, so that a large file looks each up once
