r"""RDATA in presentation form, both ways (RFC 1035 §5.1, RFC 3597 §5).

Law: `rdata_from_text` of what `rdata_to_text` wrote is the same RDATA again. The types that fill
zones have short rules here; where such a rule does not succeed, and for every other type, dnspython
is the judge.
"""

from __future__ import annotations

import struct
from base64 import b32hexdecode, b32hexencode, b64encode
from binascii import a2b_base64, unhexlify
from calendar import timegm
from collections.abc import Callable, Iterable, Sequence

import dns.exception
import dns.ipv4
import dns.ipv6
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from ddns.dns import names, records
from ddns.dns.codes import Type
from ddns.dns.names import BadName, Name
from ddns.dns.records import BadRdata, Rdata
from ddns.dns.spelling import (
    MNEMONICS,
    WIDELY_KNOWN,
    BadSpelling,
    Quoted,
    Token,
    escape,
    name_from_text,
    time_from_text,
    type_for_file,
    type_from_text,
    type_to_text,
    unescape,
)

# What the data of the common types looks like, for the cure in an error.
_EXAMPLES: dict[int, str] = {
    Type.A: "192.0.2.1",
    Type.AAAA: "2001:db8::1",
    Type.NS: "ns1.example.",
    Type.CNAME: "www.example.",
    Type.PTR: "host.example.",
    Type.DNAME: "other.example.",
    Type.MX: "10 mail.example.",
    Type.TXT: '"some text"',
    Type.SRV: "0 5 443 host.example.",
    Type.SOA: "ns1.example. hostmaster.example. 1 3600 900 1209600 300",
    Type.DS: "12345 13 2 and 64 hexadecimal digits",
    Type.TLSA: "3 1 1 and 64 hexadecimal digits",
    Type.KEY: "512 3 13 and the key in base64",
}
_DIGEST_SIZES = {1: 20, 2: 32, 4: 48}  # octets, RFC 4034 §A.2, RFC 4509 §2.1, RFC 6605 §2
_ASSOCIATION_SIZES = {1: 32, 2: 64}  # octets of a TLSA's hash by matching type, RFC 6698 §2.1.3
_HASH_TEXT = 32  # characters of a SHA-1 in base32hex (RFC 5155 §3.3)
_SIGNATURE_HEAD = struct.Struct("!HBBIIIH")  # RFC 4034 §3.1
_FIELD = 0xFFFFFFFF  # seconds in a field of a record's data, where RFC 2181 §8 bounds only TTLs
_SHOWN = 60  # octets of malformed data that an error repeats

_DNSPYTHON_ERRORS = (
    dns.exception.DNSException, ValueError, IndexError, KeyError, OverflowError, TypeError, AttributeError, struct.error
)  # fmt: skip


def rdata_from_text(rdtype: int, tokens: Sequence[Token], origin: Name) -> Rdata:
    r"""Return the canonical RDATA of type *rdtype* that *tokens* spell; names are relative to *origin*.

    `\# length hex` is read for every type (RFC 3597 §5). Raises `BadRdata` with a sentence.
    """
    if tokens and tokens[0] == b"\\#" and type(tokens[0]) is not Quoted:
        return _generic(rdtype, tokens)
    reader = _READERS.get(rdtype)
    if reader is not None:
        try:
            return reader(tokens, origin)
        except BadRdata:
            raise
        except (BadName, BadSpelling) as error:
            raise BadRdata(str(error)) from None
        except (ValueError, dns.exception.SyntaxError, struct.error):
            pass  # dnspython reads the rarer spellings, and refuses what is wrong
    return _by_dnspython(rdtype, tokens, origin)


def rdata_to_text(rdtype: int, rdata: Rdata) -> str:
    r"""Return *rdata* of type *rdtype* in presentation form, names absolute; `\#` where only that is safe."""
    writer = _WRITERS.get(rdtype)
    try:
        if writer is not None:
            return writer(rdata)
        if rdtype in WIDELY_KNOWN:
            # Some types lose something on the way to text (LOC its precision): those are written generically.
            kind = dns.rdatatype.RdataType.make(rdtype)
            text = str(dns.rdata.from_wire(dns.rdataclass.IN, kind, rdata, 0, len(rdata)).to_text())
            if text and dns.rdata.from_text(dns.rdataclass.IN, kind, text).to_digestable() == rdata:
                return text
    except _DNSPYTHON_ERRORS:
        pass
    return f"\\# {len(rdata)} {rdata.hex()}".rstrip()


def _generic(rdtype: int, tokens: Sequence[Token]) -> Rdata:
    try:
        size = int(tokens[1])
        octets = unhexlify(b"".join(tokens[2:]))
    except (ValueError, IndexError):
        raise BadRdata("data that begins with \\# goes on with a length in octets and hexadecimal digits") from None
    if len(octets) != size or size > 0xFFFF:
        raise BadRdata(f"data after \\# promises {size} octets and has {len(octets)}")
    return records.canonical(rdtype, octets)


def _by_dnspython(rdtype: int, tokens: Sequence[Token], origin: Name) -> Rdata:
    if rdtype not in MNEMONICS:
        raise BadRdata(f"the data of type TYPE{rdtype} is only read as \\# length hexadecimal (RFC 3597)")
    spelled = b" ".join(b'"' + token + b'"' if type(token) is Quoted else token for token in tokens)
    try:
        for token in tokens:
            unescape(token)
        # dnspython would write UTF-8 for characters above 127; as escapes the octets stay what they are.
        text = "".join(map(_ASCII.__getitem__, spelled))
        base = dns.name.from_wire(origin, 0)[0]
        kind = dns.rdatatype.RdataType.make(rdtype)
        parsed = dns.rdata.from_text(dns.rdataclass.IN, kind, text, origin=base, relativize=False)
        return records.canonical(rdtype, parsed.to_wire() or b"")
    except _DNSPYTHON_ERRORS:
        shown = spelled[:_SHOWN].decode("utf-8", "replace") + ("…" if len(spelled) > _SHOWN else "")
        example = _EXAMPLES.get(rdtype)
        cure = f"; write it like {example}" if example else f"; see the document that defines {type_to_text(rdtype)}"
        raise BadRdata(f"{shown or 'nothing'} is not data of type {type_to_text(rdtype)}{cure}") from None


_ASCII = [chr(octet) if octet < 0x80 else f"\\{octet:03d}" for octet in range(256)]


def _number(token: Token, most: int) -> int:
    if not token.isdigit() or type(token) is Quoted or len(token) > 10 or (number := int(token)) > most:
        raise ValueError
    return number


def _read_a(tokens: Sequence[Token], _origin: Name) -> Rdata:
    (address,) = tokens
    return dns.ipv4.inet_aton(address)


def _read_aaaa(tokens: Sequence[Token], _origin: Name) -> Rdata:
    (address,) = tokens
    return dns.ipv6.inet_aton(address)


def _read_name(tokens: Sequence[Token], origin: Name) -> Rdata:
    (name,) = tokens
    if type(name) is Quoted:
        raise ValueError
    return name_from_text(name, origin)


def _read_mx(tokens: Sequence[Token], origin: Name) -> Rdata:
    preference, name = tokens
    return struct.pack("!H", _number(preference, 0xFFFF)) + _read_name((name,), origin)


def _read_srv(tokens: Sequence[Token], origin: Name) -> Rdata:
    priority, weight, port, name = tokens
    head = struct.pack("!HHH", _number(priority, 0xFFFF), _number(weight, 0xFFFF), _number(port, 0xFFFF))
    return head + _read_name((name,), origin)


def _read_soa(tokens: Sequence[Token], origin: Name) -> Rdata:
    mname, rname, serial, refresh, retry, expire, minimum = tokens
    return (
        _read_name((mname,), origin)
        + _read_name((rname,), origin)
        + struct.pack(
            "!5I",
            _number(serial, 0xFFFFFFFF),
            time_from_text(refresh.decode("ascii"), _FIELD),
            time_from_text(retry.decode("ascii"), _FIELD),
            time_from_text(expire.decode("ascii"), _FIELD),
            time_from_text(minimum.decode("ascii"), _FIELD),
        )
    )


def _read_txt(tokens: Sequence[Token], _origin: Name) -> Rdata:
    if not tokens:
        raise ValueError
    out = []
    for token in tokens:
        octets = unescape(token)
        if len(octets) > 255:
            raise BadRdata("a character-string is longer than 255 octets; split it into several in quotes")
        out.append(bytes((len(octets),)) + octets)
    return b"".join(out)


def _read_key(tokens: Sequence[Token], _origin: Name) -> Rdata:
    flags, protocol, algorithm, *key = tokens
    octets = a2b_base64(b"".join(key), strict_mode=True)
    if not octets:
        raise ValueError
    return struct.pack("!HBB", _number(flags, 0xFFFF), _number(protocol, 255), _number(algorithm, 255)) + octets


def _read_ds(tokens: Sequence[Token], _origin: Name) -> Rdata:
    tag, algorithm, digest_type, *digest = tokens
    head = struct.pack("!HBB", _number(tag, 0xFFFF), _number(algorithm, 255), _number(digest_type, 255))
    octets = unhexlify(b"".join(digest))
    if len(octets) != _DIGEST_SIZES.get(head[3]):
        raise ValueError
    return head + octets


def _read_tlsa(tokens: Sequence[Token], _origin: Name) -> Rdata:
    usage, selector, matching, *association = tokens
    octets = unhexlify(b"".join(association))
    head = bytes((_number(usage, 255), _number(selector, 255), _number(matching, 255)))
    if not octets or len(octets) != _ASSOCIATION_SIZES.get(head[2], len(octets)):
        raise ValueError
    return head + octets


def _read_rrsig(tokens: Sequence[Token], origin: Name) -> Rdata:
    covered, algorithm, labels, ttl, expiration, inception, tag, signer, *signature = tokens
    number = type_from_text(covered)
    if number is None or not signature:
        raise ValueError
    head = _SIGNATURE_HEAD.pack(
        number,
        _number(algorithm, 255),
        _number(labels, 255),
        time_from_text(ttl.decode("ascii"), _FIELD),
        _sigtime(expiration),
        _sigtime(inception),
        _number(tag, 0xFFFF),
    )
    return head + _read_name((signer,), origin) + a2b_base64(b"".join(signature), strict_mode=True)


_times: dict[bytes, int] = {}  # the same few times stand all through a signed zone


def _sigtime(token: Token) -> int:
    known = _times.get(token)
    if known is not None:
        return known
    if len(token) != 14 or not token.isdigit():
        return _number(token, 0xFFFFFFFF)
    year, month, day = int(token[:4]), int(token[4:6]), int(token[6:8])
    hour, minute, second = int(token[8:10]), int(token[10:12]), int(token[12:])
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        raise ValueError
    seconds = timegm((year, month, day, hour, minute, second)) & 0xFFFFFFFF  # RFC 4034 §3.1.5
    if len(_times) > 10_000:
        _times.clear()
    _times[token] = seconds
    return seconds


def _read_nsec(tokens: Sequence[Token], origin: Name) -> Rdata:
    following, *types = tokens
    if following != following.lower() or type(following) is Quoted or not types:
        raise ValueError  # the next name keeps its case (RFC 6840 §5.1)
    return name_from_text(following, origin) + _pack_types(types)


def _read_nsec3(tokens: Sequence[Token], _origin: Name) -> Rdata:
    algorithm, flags, iterations, salt, following, *types = tokens
    if len(following) != _HASH_TEXT:
        raise ValueError
    octets = b"" if salt == b"-" else unhexlify(salt)
    head = struct.pack("!BBHB", _number(algorithm, 255), _number(flags, 255), _number(iterations, 0xFFFF), len(octets))
    return head + octets + b"\x14" + b32hexdecode(following.upper()) + _pack_types(types)


def _pack_types(tokens: Iterable[Token]) -> bytes:
    """Return a type bitmap (RFC 4034 §4.1.2)."""
    windows: dict[int, int] = {}
    for token in tokens:
        number = type_from_text(token)
        if not number:
            raise ValueError
        windows[number >> 8] = windows.get(number >> 8, 0) | 1 << (255 - (number & 255))
    out = bytearray()
    for window, bits in sorted(windows.items()):
        octets = bits.to_bytes(32, "big").rstrip(b"\0")
        out += bytes((window, len(octets))) + octets
    return bytes(out)


def _unpack_types(octets: bytes) -> str:
    """Return a type bitmap as mnemonics. Raises `ValueError` where they would not give the same octets again."""
    out: list[str] = []
    at, last = 0, -1
    while at < len(octets):
        window, size = octets[at], octets[at + 1]
        if window <= last or not octets[at + 1 + size] or (window == 0 and octets[at + 2] & 0x80):
            raise ValueError
        last = window
        for index, octet in enumerate(octets[at + 2 : at + 2 + size]):
            out += [type_for_file(window << 8 | index << 3 | bit) for bit in range(8) if octet & 0x80 >> bit]
        at += 2 + size
    return "".join(f" {mnemonic}" for mnemonic in out)


def _write_name(rdata: Rdata) -> str:
    return names.to_text(rdata)


def _write_soa(rdata: Rdata) -> str:
    middle = names.skip(rdata, 0)
    numbers = struct.unpack("!5I", rdata[-20:])
    return " ".join([names.to_text(rdata[:middle]), names.to_text(rdata[middle:-20]), *map(str, numbers)])


def _write_txt(rdata: Rdata) -> str:
    out = []
    at = 0
    while at < len(rdata):
        out.append(escape(rdata[at + 1 : at + 1 + rdata[at]]))
        at += 1 + rdata[at]
    if not out:
        raise ValueError
    return " ".join(out)


def _write_key(rdata: Rdata) -> str:
    if len(rdata) < 5:
        raise ValueError
    return f"{rdata[0] << 8 | rdata[1]} {rdata[2]} {rdata[3]} {b64encode(rdata[4:]).decode()}"


def _write_ds(rdata: Rdata) -> str:
    if len(rdata) - 4 != _DIGEST_SIZES.get(rdata[3]):
        raise ValueError
    return f"{rdata[0] << 8 | rdata[1]} {rdata[2]} {rdata[3]} {rdata[4:].hex()}"


def _write_tlsa(rdata: Rdata) -> str:
    if len(rdata) < 4 or len(rdata) - 3 != _ASSOCIATION_SIZES.get(rdata[2], len(rdata) - 3):
        raise ValueError
    return f"{rdata[0]} {rdata[1]} {rdata[2]} {rdata[3:].hex()}"


def _write_rrsig(rdata: Rdata) -> str:
    covered, algorithm, labels, ttl, expiration, inception, tag = _SIGNATURE_HEAD.unpack_from(rdata)
    end = names.skip(rdata, _SIGNATURE_HEAD.size)
    signer, signature = rdata[_SIGNATURE_HEAD.size : end], b64encode(rdata[end:]).decode()
    head = f"{type_for_file(covered)} {algorithm} {labels} {ttl} {expiration} {inception} {tag}"
    return f"{head} {names.to_text(signer)} {signature}"


def _write_nsec(rdata: Rdata) -> str:
    end = names.skip(rdata, 0)
    return names.to_text(rdata[:end]) + _unpack_types(rdata[end:])


def _write_nsec3(rdata: Rdata) -> str:
    algorithm, flags, iterations, salt = struct.unpack_from("!BBHB", rdata)
    at = 5 + salt
    size = rdata[at]
    if size != 20:
        raise ValueError
    head = f"{algorithm} {flags} {iterations} {rdata[5:at].hex() or '-'}"
    following = b32hexencode(rdata[at + 1 : at + 21]).decode().lower()
    return f"{head} {following}{_unpack_types(rdata[at + 21 :])}"


_READERS: dict[int, Callable[[Sequence[Token], Name], Rdata]] = {
    Type.A: _read_a,
    Type.AAAA: _read_aaaa,
    Type.NS: _read_name,
    Type.CNAME: _read_name,
    Type.PTR: _read_name,
    Type.DNAME: _read_name,
    Type.MX: _read_mx,
    Type.SRV: _read_srv,
    Type.SOA: _read_soa,
    Type.TXT: _read_txt,
    Type.KEY: _read_key,
    Type.DNSKEY: _read_key,
    Type.DS: _read_ds,
    Type.TLSA: _read_tlsa,
    Type.RRSIG: _read_rrsig,
    Type.NSEC: _read_nsec,
    Type.NSEC3: _read_nsec3,
}

_WRITERS: dict[int, Callable[[Rdata], str]] = {
    Type.A: dns.ipv4.inet_ntoa,
    Type.AAAA: dns.ipv6.inet_ntoa,
    Type.NS: _write_name,
    Type.CNAME: _write_name,
    Type.PTR: _write_name,
    Type.DNAME: _write_name,
    Type.MX: lambda rdata: f"{rdata[0] << 8 | rdata[1]} {names.to_text(rdata[2:])}",
    Type.SRV: lambda rdata: " ".join(map(str, struct.unpack_from("!HHH", rdata))) + " " + names.to_text(rdata[6:]),
    Type.SOA: _write_soa,
    Type.TXT: _write_txt,
    Type.KEY: _write_key,
    Type.DNSKEY: _write_key,
    Type.DS: _write_ds,
    Type.TLSA: _write_tlsa,
    Type.RRSIG: _write_rrsig,
    Type.NSEC: _write_nsec,
    Type.NSEC3: _write_nsec3,
}
