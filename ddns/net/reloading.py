"""Follow the files of the certificate: a new one is shown without a restart, a bad one changes nothing.

A new *key* is a roll (RFC 7671 §8.1): what a client trusts is the TLSA record that it has in its cache. So the
new key's digest is published first, beside the old one, and the new certificate is shown only after *roll*
seconds; the old digest is taken back only when all workers have changed over.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from ddns.net import certificate as certificates
from ddns.net.certificate import BadCertificate, Certificate

log = Logger(namespace="ddns.certificate")

LOOK_EVERY = 2.0  # seconds between two looks at the files
RETIRE = 60.0  # seconds for which the digest of a key that is no longer shown stays published

_Stamp = tuple[tuple[int, int, int], ...] | None


class Reloading:
    """The current certificate of one worker, and the next one while a key is rolled.

    *shown* is called with each certificate that is to be shown from now on.
    """

    def __init__(self, certificate: Path, key: Path, roll: float, clock: Any) -> None:
        self._files = (certificate, key)
        self._roll = roll
        self._clock = clock
        self._stamp = self._seen = self._stamped()
        self.current = certificates.load(certificate, key)
        self._next: Certificate | None = None
        self._next_at = 0.0
        self._retired: dict[bytes, float] = {}
        self._timer: Any = None
        self._shown: list[Callable[[Certificate], None]] = []

    def start(self) -> None:
        """Look at the files every now and then."""
        log.info("certificate.shown pin={pin}", pin=self.current.pin)
        self._timer = self._clock.callLater(LOOK_EVERY, self._tick)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def tell(self, shown: Callable[[Certificate], None]) -> None:
        """Have *shown* called with each certificate that takes the place of the current one."""
        self._shown.append(shown)

    def digests(self) -> frozenset[bytes]:
        """Return the digests of all keys that clients may meet now or soon: what is to be published."""
        following = () if self._next is None else (self._next.digest,)
        return frozenset((self.current.digest, *following, *self._retired))

    def _tick(self) -> None:
        self._timer = self._clock.callLater(LOOK_EVERY, self._tick)
        self.look()

    def look(self) -> None:
        """Read the files where they have changed and come to rest, and do what is due."""
        now = self._clock.seconds()
        self._retired = {digest: until for digest, until in self._retired.items() if until > now}
        stamp = self._stamped()
        # Certificate and key are two files: what is being written now is read when it is as it was a look ago.
        if stamp != self._stamp and stamp == self._seen:
            self._stamp = stamp
            self._reload(now)
        self._seen = stamp
        if self._next is not None and now >= self._next_at:
            self._change_over(now)

    def _stamped(self) -> _Stamp:
        try:
            found = [path.stat() for path in self._files]
        except OSError:
            return None
        return tuple((one.st_mtime_ns, one.st_ino, one.st_size) for one in found)

    def _reload(self, now: float) -> None:
        fresh = self._loaded()
        if fresh is None:
            return
        if fresh.digest == self.current.digest:
            self._next = None
            self._show(fresh)
        elif self._next is not None and fresh.digest == self._next.digest:
            self._next = fresh
        else:
            self._next, self._next_at = fresh, now + self._roll
            log.info("certificate.next pin={pin} in={seconds} s", pin=fresh.pin, seconds=self._roll)

    def _loaded(self) -> Certificate | None:
        try:
            return certificates.load(*self._files)
        except BadCertificate as error:
            log.warn("certificate.kept: {reason} The one before stays in use.", reason=str(error))
            return None

    def _change_over(self, now: float) -> None:
        assert self._next is not None
        self._retired[self.current.digest] = now + RETIRE
        fresh, self._next = self._next, None
        self._retired.pop(fresh.digest, None)
        self._show(fresh)

    def _show(self, fresh: Certificate) -> None:
        self.current = fresh
        log.info("certificate.shown pin={pin}", pin=fresh.pin)
        for told in self._shown:
            told(fresh)
