"""Domain names as values: lower-case uncompressed wire bytes, and nothing else.

Law: a `Name` is a `bytes` that ends in the root label, at most 255 octets long, each label at most
63, ASCII letters in lower case (RFC 4343). It is the key of every mapping. The asker's spelling
lives only in the echoed question. Functions here trust that a `Name` obeys the law; what comes from
outside enters through `read` or `from_text`.
"""

from __future__ import annotations

from ddns.dns import twin
from ddns.dns.codes import MAX_LABEL, MAX_NAME, MAX_POINTER_HOPS

Name = bytes

ROOT: Name = b"\0"


class BadName(ValueError):
    """A name from outside that breaks RFC 1035 §3.1 or §4.1.4; the message says how."""


def read(wire: bytes, offset: int) -> tuple[Name, int]:
    """Read a possibly compressed name of *wire* at *offset*, in octets.

    Returns the name in lower case and the offset behind it. Pointers must point strictly backwards, to a
    prior occurrence that ends before the piece that the pointer is in begins (RFC 1035 §4.1.4, RFC 9267 §2).
    Raises `BadName`.
    """
    return twin.read_name(wire, offset) or _read(wire, offset)


def _read(wire: bytes, offset: int) -> tuple[Name, int]:
    labels = bytearray()
    end = -1
    limit = offset  # every pointer must point before the start of the piece it is in
    hops = 0
    size = len(wire)  # and what it points to must end there
    while True:
        if offset >= size:
            raise BadName("the name runs over the end of the message")
        length = wire[offset]
        if length == 0:
            labels.append(0)
            if len(labels) > MAX_NAME:
                raise BadName("the name is longer than 255 octets")
            return bytes(labels).lower(), (offset + 1 if end < 0 else end)
        if length <= MAX_LABEL:
            offset += 1 + length
            if offset > size:
                raise BadName("a label runs over the end of the message")
            labels += wire[offset - 1 - length : offset]
            if len(labels) >= MAX_NAME:
                raise BadName("the name is longer than 255 octets")
            continue
        if length < 0xC0:
            raise BadName("a label has a reserved type")
        if offset + 1 >= size:
            raise BadName("a compression pointer runs over the end of the message")
        target = (length & 0x3F) << 8 | wire[offset + 1]
        if end < 0:
            end = offset + 2
        if target >= limit:
            raise BadName("a compression pointer does not point backwards")
        hops += 1
        if hops > MAX_POINTER_HOPS:
            raise BadName("a name has too many compression pointers")
        size = limit
        limit = offset = target


def skip(wire: bytes, offset: int) -> int:
    """Return the offset behind the name of *wire* at *offset* without following pointers.

    Raises `BadName` where the labels run over the end or have a reserved type.
    """
    size = len(wire)
    while offset < size:
        length = wire[offset]
        if length == 0:
            return offset + 1
        if length >= 0xC0:
            if offset + 2 > size:
                break
            return offset + 2
        if length > MAX_LABEL:
            raise BadName("a label has a reserved type")
        offset += 1 + length
    raise BadName("the name runs over the end of the message")


def labels(name: Name) -> list[bytes]:
    """Return the labels of *name* from the leftmost, without the root."""
    out = []
    at = 0
    while (length := name[at]) != 0:
        out.append(name[at + 1 : at + 1 + length])
        at += 1 + length
    return out


def count_labels(name: Name) -> int:
    """Return the number of labels of *name*, the root not counted (RFC 4034 §3.1.3)."""
    count = at = 0
    while (length := name[at]) != 0:
        count += 1
        at += 1 + length
    return count


def parent(name: Name) -> Name:
    """Return the name one label up; the root is its own parent."""
    return name[1 + name[0] :] if name[0] else name


def is_subdomain(name: Name, ancestor: Name) -> bool:
    """Tell whether *name* is *ancestor* or below it."""
    if not name.endswith(ancestor):
        return False
    at, end = 0, len(name) - len(ancestor)
    while at < end:
        at += 1 + name[at]
    return at == end


def ancestors(name: Name, apex: Name) -> list[Name]:
    """Return the names strictly above *name*, nearest first, down from its parent to *apex* itself.

    Empty where *name* is *apex*. *name* must be below *apex*.
    """
    out = []
    while len(name) > len(apex):
        name = name[1 + name[0] :]
        out.append(name)
    return out


def suffixes(name: Name) -> list[Name]:
    """Return *name* and every name above it, the root last."""
    out = [name]
    while name[0]:
        name = name[1 + name[0] :]
        out.append(name)
    return out


def is_wildcard(name: Name) -> bool:
    """Tell whether the leftmost label is `*` (RFC 4592 §2.1.1)."""
    return name.startswith(b"\x01*")


def prepend(label: bytes, name: Name) -> Name:
    """Return *label* in lower case put before *name*. Raises `BadName` where that is too long."""
    if not 0 < len(label) <= MAX_LABEL:
        raise BadName("a label has 1 to 63 octets")
    if len(label) + 1 + len(name) > MAX_NAME:
        raise BadName("the name is longer than 255 octets")
    return bytes((len(label),)) + label.lower() + name


def order_key(name: Name) -> bytes:
    """Return bytes whose plain order is the canonical order of names (RFC 4034 §6.1).

    The key of a name below another starts with the other's key, so a subtree is a range: see
    `subtree_end`. Labels go from the root down; in a label 0x00 becomes 0x00 0x01, and 0x00 0x00
    ends it.
    """
    key = twin.order_key(name)
    return _order_key(name) if key is None else key


def _order_key(name: Name) -> bytes:
    parts = labels(name)
    parts.reverse()
    if b"\0" in name[:-1]:
        parts = [part.replace(b"\0", b"\0\1") for part in parts]
    parts.append(b"")
    return b"\0\0".join(parts)


_LENGTHS = [bytes((length,)) for length in range(MAX_LABEL + 1)]


def from_order_key(key: bytes) -> Name:
    """Return the name that `order_key` made *key* of."""
    if b"\0\1" not in key:  # no label holds a zero octet
        parts = key.split(b"\0\0")
        parts.reverse()  # what stands behind the last separator, nothing, becomes the first part
        return b"".join([_LENGTHS[len(part)] + part for part in parts[1:]]) + ROOT
    out = ROOT
    at = 0
    while at < len(key):
        label = bytearray()
        while True:
            zero = key.index(0, at)
            label += key[at:zero]
            mark = key[zero + 1]
            at = zero + 2
            if mark == 0:
                break
            label.append(0)
        out = bytes((len(label),)) + bytes(label) + out
    return out


def subtree_end(key: bytes) -> bytes:
    """Return the least key behind those of all names at or below the name of *key* ."""
    if not key:
        return b"\xff" * 64  # above every key: a label has at most 63 octets
    return key[:-1] + b"\x01"


# The octets that every reader of master files takes as they are: Knot's wants all others escaped.
_PLAIN = b"abcdefghijklmnopqrstuvwxyz0123456789-_*/ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def to_text(name: Name) -> str:
    """Return *name* in presentation form with its final dot (RFC 1035 §5.1, RFC 4343 §2.1)."""
    if name == ROOT:
        return "."
    parts = labels(name)
    if not b"".join(parts).translate(None, _PLAIN):
        return b".".join(parts).decode() + "."
    out = []
    for label in parts:
        if not label.translate(None, _PLAIN):
            out.append(label.decode())
            out.append(".")
            continue
        for octet in label:
            if octet in _PLAIN:
                out.append(chr(octet))
            elif 0x21 <= octet <= 0x7E:
                out.append("\\" + chr(octet))
            else:
                out.append(f"\\{octet:03d}")
        out.append(".")
    return "".join(out)


def from_text(text: str, origin: Name = ROOT) -> Name:
    r"""Read *text*, a name in presentation form; without a final dot it is relative to *origin*.

    Escapes are `\X` and `\DDD` (RFC 1035 §5.1). Non-ASCII text is refused: write it as an A-label.
    Raises `BadName`.
    """
    if text == ".":
        return ROOT
    if text == "@":
        return origin
    if text == "":
        raise BadName("a name is empty")
    try:
        source = text.encode("ascii")
    except UnicodeEncodeError:
        raise BadName(f"the name {text!r} is not ASCII; write it in its xn-- form") from None
    out = bytearray()
    label = bytearray()
    at = 0
    size = len(source)
    absolute = False
    while at < size:
        octet = source[at]
        at += 1
        absolute = False
        if octet == 0x2E:
            if not label:
                raise BadName(f"the name {text!r} has an empty label")
            _close(out, label, text)
            absolute = True
            continue
        if octet == 0x5C:
            digits = source[at : at + 3]
            if len(digits) == 3 and digits.isdigit() and int(digits) <= 255:
                octet = int(digits)
                at += 3
            elif at < size and not source[at : at + 1].isdigit():
                octet = source[at]
                at += 1
            else:
                raise BadName(f"the name {text!r} has a broken escape")
        label.append(octet)
    if label:
        _close(out, label, text)
    name = bytes(out) + (ROOT if absolute else origin)
    if len(name) > MAX_NAME:
        raise BadName(f"the name {text!r} is longer than 255 octets")
    return name.lower()


def _close(out: bytearray, label: bytearray, text: str) -> None:
    if len(label) > MAX_LABEL:
        raise BadName(f"the name {text!r} has a label longer than 63 octets")
    out.append(len(label))
    out += label
    label.clear()
