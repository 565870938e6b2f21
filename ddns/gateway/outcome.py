"""How an exchange ended, for people and for scripts: an exit status and one sentence.

Law: 0 means that the server confirmed it. Nothing else does.
"""

from __future__ import annotations

from enum import IntEnum

import dns.rcode

from ddns.dns.codes import BADSIG, Ede, Rcode
from ddns.dns.refusals import Turn, turn_of
from ddns.gateway.client import Unreachable, is_temporary
from ddns.gateway.desk import Desk, Said
from ddns.gateway.reply import Reply, Unproved

# What a registry refuses before it knows the key, and therefore cannot sign.
_BEFORE_PROOF = frozenset(
    {
        "edns-version-unknown", "message-malformed", "signature-misplaced", "tsig-malformed", "update-cleartext",
        "update-malformed",
    }
)  # fmt: skip


TOO_EARLY = "tlsa-not-safe-yet"  # the registry's code


class Status(IntEnum):
    """Exit statuses of `ddns gateway`; scripts rely on them (docs/reference/commands.md)."""

    DONE = 0
    FAILED = 1  # something here: a file, a key, the state folder
    USAGE = 2
    REFUSED = 3  # the registry does not allow it; asking again does not help
    UNREACHABLE = 4  # no answer; try again
    KEY = 5  # the key or its signature is not accepted; compare, or enrol again
    CLOCK = 6  # this machine's clock is wrong
    LATER = 7  # an answer, and it says "later": an outage, a queue that is full, a ration; try again
    UNPROVED = 8  # an answer that the registry did not sign: nobody knows whether it was done
    NOT_SAFE = 9  # not yet: some client may still know another key only


_BY_TURN = {
    Turn.POLICY: Status.REFUSED,
    Turn.STATE: Status.REFUSED,
    Turn.FORM: Status.REFUSED,
    Turn.KEY: Status.KEY,
    Turn.CLOCK: Status.CLOCK,
    Turn.LATER: Status.LATER,
}


def judge(reply: Reply | Unproved | Unreachable, host: str, port: int, now: float) -> tuple[Status, str]:
    """Return the status and the sentence for *reply*; for NOERROR the caller says what was done.

    The registry's own code decides (docs/reference/refusals.md), and where it gave none, the numbers do: another
    server, or an older one.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(reply, Unreachable):
        return Status.UNREACHABLE, f"The registry at {where} could not be reached: {reply.reason}; try again later."
    if isinstance(reply, Unproved):
        return Status.UNPROVED, (
            f"An answer from {where} says that it was done, but {reply.reason}, so it may be anybody's; "
            "look what is published, and try again."
        )
    said = " ".join(_sentence(text) for _, text in reply.errors if text)
    status = _status(reply)
    name = dns.rcode.to_text(dns.rcode.Rcode.make(reply.rcode))
    if status == Status.DONE:
        return status, "Done."
    if status == Status.CLOCK:
        return status, _clock(reply, now, said)
    if status == Status.NOT_SAFE:
        return status, f"It is not safe yet. {said}"
    if status == Status.LATER:
        return status, f"The registry cannot do it now ({name}); try again later. {said}".strip()
    if status == Status.UNPROVED:
        text = f"An answer from {where} refuses it ({name}), but the registry did not sign it; try again. {said}"
        return status, text.strip()
    if status == Status.KEY and reply.error == BADSIG:
        return status, f"The registry found the signature wrong. {said}".strip()
    if status == Status.KEY:
        why = "" if reply.error else f" ({name})"
        return status, f"The registry does not accept this key{why}. {said}".strip()
    return status, f"The registry refused it ({name}). {said}".strip()


def judge_said(said: Said | Unproved | Unreachable, desk: Desk) -> tuple[Status, str]:
    """Return the status and the sentence for what a registry's desk *said* by HTTPS; where it did it, the caller says.

    What the desk will do later (202, 429, 5xx) is `Status.LATER`.
    """
    if isinstance(said, Unreachable):
        return Status.UNREACHABLE, f"The registry at {desk.said} could not be reached: {said.reason}; try again later."
    if isinstance(said, Unproved):
        return Status.UNPROVED, (
            f"Who answers at {desk.said} does not prove to be the registry: {said.reason}; nothing was sent. "
            "Give its certificate with --cafile, or try from another network."
        )
    if said.status in (200, 201, 204):
        return Status.DONE, "Done."
    sentence = _sentence(said.sentence) if said.sentence else f"It answered {said.status} without a reason."
    if said.status in (202, 429) or said.status >= 500:
        return (
            Status.LATER,
            f"The registry cannot do it now; try again later. {sentence if said.sentence else ''}".strip(),
        )
    turn = turn_of(said.code)
    status = _BY_TURN.get(turn, Status.REFUSED) if turn else Status.REFUSED
    if status == Status.LATER:
        return status, f"The registry cannot do it now; try again later. {sentence}"
    return status, f"The registry refused it. {sentence}"


def _status(reply: Reply) -> Status:
    if reply.rcode == Rcode.NOERROR and not reply.error:
        return Status.DONE
    turn = turn_of(reply.code)
    if reply.code == TOO_EARLY and not reply.doubtful:
        return Status.NOT_SAFE
    if reply.doubtful and not reply.error and not is_temporary(reply) and reply.rcode != Rcode.NOTAUTH:
        # Our request was signed by TSIG, and so is whatever a registry says that knows the key.
        return _BY_TURN.get(turn, Status.REFUSED) if turn and reply.code in _BEFORE_PROOF else Status.UNPROVED
    if turn in _BY_TURN:
        return _BY_TURN[turn]
    codes = {code for code, _ in reply.errors}
    if reply.error == Rcode.BADTIME or Ede.SIGNATURE_EXPIRED in codes:
        return Status.CLOCK
    if reply.error:
        return Status.KEY
    if is_temporary(reply):
        return Status.LATER
    if reply.rcode == Rcode.NOTAUTH and Ede.NOT_AUTHORITATIVE not in codes and not reply.proved:
        return Status.KEY
    return Status.REFUSED


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "]")) else f"{text}."


def _clock(reply: Reply, now: float, said: str) -> str:
    if reply.server_time is None:
        return f"The registry finds this machine's clock wrong; set it and try again. {said}".strip()
    off = int(now) - reply.server_time
    return f"This machine's clock is {abs(off)} s {'ahead of' if off > 0 else 'behind'} the registry's; set it."
