"""DNS cookies: whether who asks has been answered at its address before (RFC 7873, RFC 9018).

A server cookie is a keyed hash of the asker's address and its own cookie with a time, so nothing is kept
for an asker. The secret changes with every day (RFC 9018 §5) and is derived from one that all workers and
all servers of a registry share, so that each accepts what another gave out. A cookie's own time says of
which day its secret is: yesterday's and, where clocks differ, tomorrow's are good without trying several.
"""

from __future__ import annotations

import hmac
import struct
from enum import IntEnum
from ipaddress import ip_address

from ddns.answer.siphash import siphash24
from ddns.dns.codes import COOKIE_SIZES

CLIENT_COOKIE = 8  # RFC 7873 §4, octets
COOKIE = 24  # RFC 9018 §4, octets of client and server cookie together
_VERSION = b"\x01"  # RFC 9018 §4.1
_FRESH = b"\x01\0\0\0"  # version and reserved octets of a cookie that we make (RFC 9018 §4.2)
OLDEST = 3600  # RFC 9018 §4.3, seconds that a cookie is good for
AHEAD = 300  # RFC 9018 §4.3, seconds that a cookie may be ahead of our clock
RENEW = 1800  # RFC 9018 §4.3, seconds after which a new one is given
SECRET_SIZE = 16  # RFC 9018 §4.4, octets of a key of SipHash-2-4
_DAY = 86400  # seconds
_BOTH = 2  # RFC 9018 §5: while one secret follows another, both are accepted
_SECRETS = 4  # ours: days whose secrets are remembered
_VERIFIED = 8192  # ours: cookies remembered as good, so that those who ask often cost no hash; about 200 octets each
_ADDRESSES = 8192  # ours: addresses remembered in their binary form
_PURPOSE = b"nameplate dns cookie 1"
_TIME = struct.Struct("!I")


class Verdict(IntEnum):
    """What a COOKIE option is worth."""

    MALFORMED = 0  # FORMERR (RFC 7873 §5.2.2)
    CLIENT = 1  # the client's half only: it may never have been answered (RFC 7873 §5.2.3)
    BAD = 2  # a server cookie that is too old, of another address or not ours (RFC 7873 §5.2.4)
    GOOD = 3  # a server cookie that we gave to this address (RFC 7873 §5.2.5)


def well_formed(option: bytes) -> bool:
    """Tell whether the COOKIE *option* has a length that RFC 7873 §4 allows."""
    return len(option) in COOKIE_SIZES


class Cookies:
    """Judge and make cookies with the days' secrets of *secret*, or with *fixed* ones.

    *fixed* are one or two secrets of 16 octets that other servers use too (RFC 9018 §5): the first makes
    cookies, all are accepted.
    """

    __slots__ = ("_addresses", "_fixed", "_secret", "_secrets", "_verified")

    def __init__(self, secret: bytes, fixed: tuple[bytes, ...] = ()) -> None:
        if any(len(one) != SECRET_SIZE for one in fixed):
            raise ValueError("a cookie secret has 16 octets")
        self._secret = secret
        self._fixed = fixed
        self._secrets: dict[int, bytes] = {}
        self._addresses: dict[str, bytes] = {}
        self._verified: set[bytes] = set()

    def __repr__(self) -> str:
        return "Cookies(…)"

    def judge(self, option: bytes, source: str, now: int) -> Verdict:
        """Return what the COOKIE *option* (its data) is worth that came from the address *source* at *now*."""
        if not well_formed(option):
            return Verdict.MALFORMED
        if len(option) == CLIENT_COOKIE:
            return Verdict.CLIENT
        if len(option) != COOKIE or option[8:9] != _VERSION:
            return Verdict.BAD
        age = _age(option, now)
        if not -AHEAD <= age <= OLDEST:
            return Verdict.BAD
        address = self._address(source)
        known = option + address
        if known in self._verified:
            return Verdict.GOOD
        made = now - age
        for secret in self._fixed or (self._day(made // _DAY),):
            if hmac.compare_digest(siphash24(secret, option[:16] + address), option[16:]):
                if len(self._verified) >= _VERIFIED:
                    self._verified.clear()
                self._verified.add(known)
                return Verdict.GOOD
        return Verdict.BAD

    def renew(self, option: bytes, source: str, now: int) -> bytes:
        """Return the data of the COOKIE option for the answer to who sent *option* from *source* at *now*.

        A good cookie comes back as it is for half an hour, unless the second of two fixed secrets made it.
        *option* must not be malformed.
        """
        address = self._address(source)
        if self.judge(option, source, now) == Verdict.GOOD and _age(option, now) <= RENEW:
            first = len(self._fixed) < _BOTH or siphash24(self._fixed[0], option[:16] + address) == option[16:]
            if first:
                return option
        made = option[:CLIENT_COOKIE] + _FRESH + _TIME.pack(now & 0xFFFFFFFF)
        secret = self._fixed[0] if self._fixed else self._day(now // _DAY)
        return made + siphash24(secret, made + address)

    def _day(self, day: int) -> bytes:
        """Return the secret of *day*, counted since 1970."""
        secret = self._secrets.get(day)
        if secret is None:
            if len(self._secrets) >= _SECRETS:
                self._secrets.clear()
            secret = hmac.digest(self._secret, _PURPOSE + day.to_bytes(8, "big", signed=True), "sha256")[:SECRET_SIZE]
            self._secrets[day] = secret
        return secret

    def _address(self, source: str) -> bytes:
        """Return the 4 or 16 octets of *source*; an IPv4 address that an IPv6 socket shows has 4."""
        found = self._addresses.get(source)
        if found is None:
            address = ip_address(source)
            found = (getattr(address, "ipv4_mapped", None) or address).packed
            if len(self._addresses) >= _ADDRESSES:
                self._addresses.clear()
            self._addresses[source] = found
        return found


def _age(option: bytes, now: int) -> int:
    """Return how many seconds before *now* the cookie was made, in serial arithmetic (RFC 9018 §4.3, RFC 1982)."""
    made = int.from_bytes(option[12:16], "big")
    return ((now - made + 0x80000000) & 0xFFFFFFFF) - 0x80000000
