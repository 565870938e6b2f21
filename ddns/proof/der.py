"""DER (X.690 §10), read strictly and written: what CMS, certificate extensions and requests are made of.

Definite lengths in their shortest form, tags below 31, at most `MOST` octets. Reading is lazy: who asks for the
children of a value reads one level more, so that no nesting can exhaust the stack.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

MOST = 65_536  # octets, ours: a voucher with its certificates has some three thousand
MOST_CHILDREN = 256  # ours
_LAST_OF_UTC_TIME = 2049  # RFC 5280 §4.1.2.5

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
UTF8_STRING = 0x0C
IA5_STRING = 0x16
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31


class BadDer(ValueError):
    """Octets that are not DER, or not of the expected shape; the message is a phrase that says where."""


class Tlv(msgspec.Struct, frozen=True):
    """One value: its *tag*, its *body*, and the *raw* octets of both with the length between them."""

    tag: int
    body: bytes
    raw: bytes

    def children(self) -> tuple[Tlv, ...]:
        """Return the values in the body of a constructed value. Raises `BadDer`."""
        if not self.tag & 0x20:
            raise BadDer(f"the value with tag {self.tag:#x} has no parts")
        found: list[Tlv] = []
        at = 0
        while at < len(self.body):
            if len(found) == MOST_CHILDREN:
                raise BadDer(f"a value has more than {MOST_CHILDREN} parts")
            value = _at(self.body, at)
            found.append(value)
            at += len(value.raw)
        return tuple(found)

    def expect(self, tag: int, what: str) -> Tlv:
        """Return the value itself if it has *tag*. Raises `BadDer`, which names *what* was looked for."""
        if self.tag != tag:
            raise BadDer(f"{what} has tag {self.tag:#x}, not {tag:#x}")
        return self


def read(octets: bytes) -> Tlv:
    """Return the one value that *octets* are. Raises `BadDer`."""
    if len(octets) > MOST:
        raise BadDer(f"there are more than {MOST} octets")
    value = _at(octets, 0)
    if len(value.raw) != len(octets):
        raise BadDer("there are octets behind the end")
    return value


def read_oid(value: Tlv) -> str:
    """Return an object identifier in its dotted form. Raises `BadDer`."""
    body = value.expect(OBJECT_IDENTIFIER, "an object identifier").body
    if not body or len(body) > 64 or body[-1] & 0x80:
        raise BadDer("an object identifier is empty, cut off or too long")
    numbers, number, begins = [], 0, True
    for octet in body:
        if begins and octet == 0x80:
            raise BadDer("an object identifier is not in its shortest form")
        number = number << 7 | octet & 0x7F
        begins = not octet & 0x80
        if begins:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def read_integer(value: Tlv) -> int:
    """Return an integer. Raises `BadDer`."""
    body = value.expect(INTEGER, "an integer").body
    if not body:
        raise BadDer("an integer is empty")
    if len(body) > 1 and body[0] in {0x00, 0xFF} and (body[0] ^ body[1]) & 0x80 == 0:
        raise BadDer("an integer is not in its shortest form")
    return int.from_bytes(body, "big", signed=True)


def value(tag: int, body: bytes) -> bytes:
    """Return the value with *tag* and *body*."""
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE of *parts*."""
    return value(SEQUENCE, b"".join(parts))


def set_of(*parts: bytes) -> bytes:
    """Return a SET OF *parts*, in the order of X.690 §11.6."""
    return value(SET, b"".join(sorted(parts)))


def octet_string(octets: bytes) -> bytes:
    """Return an OCTET STRING."""
    return value(OCTET_STRING, octets)


def integer(number: int) -> bytes:
    """Return an INTEGER."""
    return value(INTEGER, number.to_bytes((number + (number < 0)).bit_length() // 8 + 1, "big", signed=True))


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = (int(number) for number in dotted.split("."))
    body = b""
    for number in (40 * first + second, *rest):
        octets = [number & 0x7F]
        while number := number >> 7:
            octets.append(number & 0x7F | 0x80)
        body += bytes(reversed(octets))
    return value(OBJECT_IDENTIFIER, body)


def time(at: int) -> bytes:
    """Return the time *at*, in seconds since 1970, as certificates and CMS write it (RFC 5652 §11.3)."""
    when = datetime.fromtimestamp(at, UTC)
    if when.year <= _LAST_OF_UTC_TIME:
        return value(UTC_TIME, when.strftime("%y%m%d%H%M%SZ").encode())
    return value(GENERALIZED_TIME, when.strftime("%Y%m%d%H%M%SZ").encode())


def _at(octets: bytes, at: int) -> Tlv:
    """Read the value that begins at *at*. Raises `BadDer`."""
    if at + 2 > len(octets):
        raise BadDer("a value is cut off")
    tag, size = octets[at], octets[at + 1]
    if tag & 0x1F == 0x1F:
        raise BadDer("a tag is above 30")
    begin = at + 2
    if size == 0x80:
        raise BadDer("a length is indefinite, which is BER; write DER")
    if size > 0x80:
        count = size & 0x7F
        if count > 3 or begin + count > len(octets):
            raise BadDer("a length is too great, or cut off")
        size = int.from_bytes(octets[begin : begin + count], "big")
        if size < 0x80 or size >> 8 * (count - 1) == 0:
            raise BadDer("a length is not in its shortest form")
        begin += count
    if begin + size > len(octets):
        raise BadDer("a value is cut off")
    return Tlv(tag, octets[begin : begin + size], octets[at : begin + size])
