"""An answer as it is written: what follows the echoed question, and what the header says of it."""

from __future__ import annotations

import struct

import msgspec

_COUNTS = struct.Struct("!HHH")


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A written answer: *flags* are AA, TC and the RCODE; *body* holds that many records in its three sections.

    *whole* tells that nothing was left out for want of room.
    """

    flags: int
    answers: int
    authorities: int
    additionals: int
    body: bytes
    whole: bool = True

    def counts(self, *, edns: bool) -> bytes:
        """Return ANCOUNT, NSCOUNT and ARCOUNT for the header; *edns*: an OPT stands behind the body."""
        return _COUNTS.pack(self.answers, self.authorities, self.additionals + edns)
