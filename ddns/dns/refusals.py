"""The catalogue of all refusals: for each stable code what it says, whose turn it is, and what cures it.

Law: every `Refusal` in the code has its row in one of the files of `ddns.dns.rows` and every row a place in
the code; a test compares the two, response code and extended error included. The page
docs/reference/refusals.md is written from here (`python -m ddns.dns.refusals_page`), `ddns explain CODE`
shows a row, and the agent's exit status comes from a row's *turn*. To add a refusal: add its row to the file
of its subject, write the page anew.
"""

from __future__ import annotations

from ddns.dns.rows import api, core, delegation, enrolment, evidence, ownership, policy, questions, records
from ddns.dns.rows.row import Chapter, Row, Turn

__all__ = ["CATALOGUE", "ROWS", "Chapter", "Row", "Turn", "turn_of"]

ROWS = (
    *core.ROWS,
    *enrolment.ROWS,
    *ownership.ROWS,
    *evidence.ROWS,
    *policy.ROWS,
    *api.ROWS,
    *records.ROWS,
    *delegation.ROWS,
    *questions.ROWS,
)

CATALOGUE = {row.code: row for row in ROWS}


def turn_of(code: str) -> Turn | None:
    """Return whose turn it is after the refusal *code*; None for a code of another server or a later version."""
    row = CATALOGUE.get(code)
    return None if row is None else row.turn
