"""How an exchange ended, for people and for scripts: an exit status and one sentence.

Law: 0 means that the server confirmed it. Nothing else does.
"""

from __future__ import annotations

from enum import IntEnum

import dns.rcode

from ddns.dns.codes import BADSIG, Ede, Rcode
from ddns.gateway.client import Unreachable, is_temporary
from ddns.gateway.reply import Reply


class Status(IntEnum):
    """Exit statuses of `ddns gateway`; scripts rely on them (docs/reference/commands.md)."""

    DONE = 0
    FAILED = 1  # something here: a file, a key, the state folder
    USAGE = 2
    REFUSED = 3  # the registry does not allow it; asking again does not help
    UNREACHABLE = 4  # no answer, or "later"; try again
    KEY = 5  # the key or its signature is not accepted
    CLOCK = 6  # this machine's clock is wrong


def judge(reply: Reply | Unreachable, host: str, port: int, now: float) -> tuple[Status, str]:
    """Return the status and the sentence for *reply*; for NOERROR the caller says what was done."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(reply, Unreachable):
        return Status.UNREACHABLE, f"The registry at {where} could not be reached: {reply.reason}; try again later."
    said = " ".join(text if text.endswith((".", "!", "?")) else f"{text}." for _, text in reply.errors if text)
    codes = {code for code, _ in reply.errors}
    if reply.error == Rcode.BADTIME or Ede.SIGNATURE_EXPIRED in codes:
        return Status.CLOCK, _clock(reply, now, said)
    if reply.error == BADSIG:
        return Status.KEY, f"The registry found the signature wrong. {said}".strip()
    if reply.error:
        return Status.KEY, f"The registry does not accept this key. {said}".strip()
    if reply.rcode == Rcode.NOERROR:
        return Status.DONE, "Done."
    name = dns.rcode.to_text(dns.rcode.Rcode.make(reply.rcode))
    if is_temporary(reply):
        return Status.UNREACHABLE, f"The registry cannot do it now ({name}); try again later. {said}".strip()
    if reply.rcode == Rcode.NOTAUTH and Ede.NOT_AUTHORITATIVE not in codes and not reply.proved:
        return Status.KEY, f"The registry does not accept this key's signature ({name}). {said}".strip()
    return Status.REFUSED, f"The registry refused it ({name}). {said}".strip()


def _clock(reply: Reply, now: float, said: str) -> str:
    if reply.server_time is None:
        return f"The registry finds this machine's clock wrong; set it and try again. {said}".strip()
    off = int(now) - reply.server_time
    return f"This machine's clock is {abs(off)} s {'ahead of' if off > 0 else 'behind'} the registry's; set it."
