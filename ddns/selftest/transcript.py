"""What was written down while a box was watched: its handshakes, its requests, its messages, and what they got."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from ddns.dns.names import Name

MOST = 20_000  # events of one method
LOOK = 0.2  # seconds between two looks at what makes no noise


class Invited(msgspec.Struct, frozen=True):
    """An invitation that the box was given: its *key*'s name and *secret*, and the *home* that it is for."""

    key: Name
    secret: bytes
    home: Name

    def __repr__(self) -> str:
        return f"Invited({self.home!r})"


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What the box was given: the registry's *zone*, the name and port of its desk, *web*, and its invitations.

    *owner* is the thumbprint of the owner's key, empty where there is no owner. A box with a maker has its certificate,
    *idevid*, and is brought to the registrar with the certificate *registrar*, both in DER. On a box with a code the
    key with the thumbprint *printed* is printed, and it is offered the name *label*.
    """

    method: str
    zone: Name
    web: tuple[str, int]
    invited: tuple[Invited, ...] = ()
    owner: str = ""
    idevid: bytes = b""
    registrar: bytes = b""
    printed: str = ""
    label: str = ""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened *at* so many seconds after the beginning, which was *now* in seconds since 1970.

    *step* is what the box was being asked to do, *until* when the answer left, seconds as *at*.
    """

    at: float
    now: int
    step: str
    until: float = 0.0


class Handshake(Event, frozen=True, kw_only=True):
    """A connection over TLS: with which *version*, empty where the handshake failed, and for which *name*.

    *stranger*: the server had another key than the registry's; *spoke*: the box sent something then.
    """

    version: str
    name: str
    stranger: bool
    spoke: bool


class Exchange(Event, frozen=True, kw_only=True):
    """A request by HTTPS, and its answer. The names of *headers* are in lower case.

    *shown* is the certificate that the box showed, in DER. *trick* is what was wrong with the voucher that it got.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int
    retry_after: int = 0
    shown: bytes = b""
    trick: str = ""

    def __repr__(self) -> str:
        return f"Exchange({self.method} {self.path} {self.status})"


class Message(Event, frozen=True, kw_only=True):
    """A message of the DNS, and its *answer*, empty where none was let through. *stream*: by TCP."""

    octets: bytes
    answer: bytes = b""
    stream: bool = False


class Handed(Event, frozen=True, kw_only=True):
    """What the box handed to its owner's phone, and how the registry answered when the owner had signed it.

    *home* is what the registry called the home, where it said so.
    """

    body: bytes
    status: int
    home: str = ""

    def __repr__(self) -> str:
        return f"Handed({self.status})"


class Phoned(Event, frozen=True, kw_only=True):
    """What the phone said to a box, and what came of it: the *status* of HTTP, and the *body*.

    *what* is `challenge`, with the registry's *nonce*, or `enrolled`; and `other-key` and `stranger` are what somebody
    says who is not before the box, or not its owner.
    """

    what: str
    status: int
    body: bytes = b""
    nonce: str = ""

    def __repr__(self) -> str:
        return f"Phoned({self.what} {self.status})"


class Gained(Event, frozen=True, kw_only=True):
    """A certificate of the domain that a box got for its *key*, the RDATA of a KEY, and so its *home*."""

    key: bytes
    home: str


class Transcript(msgspec.Struct, frozen=True):
    """All that happened in one method of enrolment, in the order in which it was written down."""

    given: Given
    events: tuple[Event, ...]


class Recorder:
    """Writes down what happens, from whatever thread. *given* may become more while it runs."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self.step = ""
        self._events: list[Event] = []
        self._news = threading.Condition()
        self._began = time.monotonic()

    @property
    def at(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._began

    def add(self, event: Event) -> None:
        """Write down *event*, and wake who waits. A box that does not stop is written down for so long."""
        with self._news:
            if len(self._events) < MOST:
                self._events.append(event)
            self._news.notify_all()

    def transcript(self) -> Transcript:
        """Return what there is by now."""
        with self._news:
            return Transcript(self.given, tuple(self._events))

    def wait(self, there: Callable[[Transcript], bool], timeout: float, look: Callable[[], bool]) -> bool:
        """Wait until what was written down is as *there* wants it; tell whether it is.

        It is waited for *timeout* seconds at most, and no longer than until *look*, which is called all the time, says
        that there is no more to come.
        """
        end = time.monotonic() + timeout
        seen = -1
        while True:
            last = look()  # before the transcript is looked at: what was done until then is in it
            found = self.transcript()
            if len(found.events) != seen and there(found):
                return True
            seen = len(found.events)
            left = end - time.monotonic()
            if last or left <= 0:
                return False
            with self._news:
                if len(self._events) == seen:
                    self._news.wait(min(left, LOOK))
