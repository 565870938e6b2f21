"""One row of the catalogue of refusals, and the words that it is made of."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ddns.dns.codes import Ede


class Turn(StrEnum):
    """Whose turn it is after a refusal, that is, what would have to change before the same wish is granted."""

    POLICY = "policy"  # the registry does not allow it: ask for a grant, or ask for less
    KEY = "key"  # the key, or the signature by it, is not accepted: enrol again
    CLOCK = "clock"  # the sender's clock is wrong
    LATER = "later"  # nothing is wrong with the message: send it again in a while
    STATE = "state"  # the zone is not as the sender thinks: look, and send another update
    FORM = "form"  # the message is not what the standard allows: the client has a bug
    ANSWER = "answer"  # the answer is not the registry's, or nobody can tell


class Chapter(StrEnum):
    """Where a row stands on the page."""

    SIGNATURES = "Signatures"
    PERMISSION = "Permission"
    FORM = "Form"
    PREREQUISITES = "Prerequisites"
    LIMITS = "Limits"
    ENROLMENT = "Enrolment"
    OWNERSHIP = "Ownership"
    EVIDENCE = "Evidence"
    POLICY = "Policies, labels and tenants"
    API = "HTTPS API"
    SERVICES = "Service registration"
    TLSA = "TLSA records"
    DELEGATION = "Delegation"
    TRANSFERS = "Transfers"
    QUESTIONS = "Questions"
    OUTAGES = "Outages and rations"
    CLIENT = "What a client of ours says about an answer"


class Row(msgspec.Struct, frozen=True):
    """One refusal: *says* is the response code as the sender sees it, with the TSIG error where there is one.

    *meaning* and *cure* are phrases without a full stop, in Markdown. A refusal that only the HTTPS API makes has the
    response code that a DNS answer would have.
    """

    code: str
    chapter: Chapter
    says: str
    ede: Ede
    turn: Turn
    meaning: str
    cure: str


def rows(chapter: Chapter, *given: tuple[str, str, Ede, Turn, str, str]) -> tuple[Row, ...]:
    """Return rows of one chapter, each given as code, response, extended error, turn, meaning and cure."""
    return tuple(Row(code, chapter, says, ede, turn, meaning, cure) for code, says, ede, turn, meaning, cure in given)
