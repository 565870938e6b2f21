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
_SECRETS = 4  # ours: days whose secrets are remembered
_VERIFIED = 8192  # ours: cookies remembered as good, so that those who ask often cost no hash; about 250 octets each
_NEVER = -(1 << 62)  # seconds: the end of a time that there is not
_ADDRESSES = 8192  # ours: addresses remembered in their binary form
_PURPOSE = b"nameplate dns cookie 1"
_TIME = struct.Struct("!I")

# Who showed a cookie that was found good, from when until when it is, and until when it is not renewed.
Verified = tuple[str, int, int, int]


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

    __slots__ = ("_addresses", "_fixed", "_secret", "_secrets", "verified")

    def __init__(self, secret: bytes, fixed: tuple[bytes, ...] = ()) -> None:
        if any(len(one) != SECRET_SIZE for one in fixed):
            raise ValueError("a cookie secret has 16 octets")
        self._secret = secret
        self._fixed = fixed
        self._secrets: dict[int, tuple[bytes, ...]] = {}
        self._addresses: dict[str, bytes] = {}
        self.verified: dict[bytes, Verified] = {}

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
        known = self.verified.get(option)
        if known is not None and known[0] == source and known[1] <= now <= known[2]:
            return Verdict.GOOD
        age = _age(option, now)
        if not -AHEAD <= age <= OLDEST:
            return Verdict.BAD
        address = self._address(source)
        made = now - age
        for at, secret in enumerate(self.secrets(made // _DAY)):
            if hmac.compare_digest(siphash24(secret, option[:16] + address), option[16:]):
                if len(self.verified) >= _VERIFIED:
                    self.verified.clear()
                self.verified[option] = source, made - AHEAD, made + OLDEST, _NEVER if at else made + RENEW
                return Verdict.GOOD
        return Verdict.BAD

    def renew(self, option: bytes, source: str, now: int) -> bytes:
        """Return the data of the COOKIE option for the answer to who sent *option* from *source* at *now*.

        A good cookie comes back as it is for half an hour, unless the second of two fixed secrets made it.
        *option* must not be malformed.
        """
        if self.judge(option, source, now) == Verdict.GOOD and now <= self.verified[option][3]:
            return option
        made = option[:CLIENT_COOKIE] + _FRESH + _TIME.pack(now & 0xFFFFFFFF)
        return made + siphash24(self.secrets(now // _DAY)[0], made + self._address(source))

    def secrets(self, day: int) -> tuple[bytes, ...]:
        """Return the secrets that make a cookie of *day*, counted since 1970, a good one; the first makes new ones."""
        if self._fixed:
            return self._fixed
        found = self._secrets.get(day)
        if found is None:
            if len(self._secrets) >= _SECRETS:
                self._secrets.clear()
            octets = hmac.digest(self._secret, _PURPOSE + day.to_bytes(8, "big", signed=True), "sha256")
            found = self._secrets[day] = (octets[:SECRET_SIZE],)
        return found

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
