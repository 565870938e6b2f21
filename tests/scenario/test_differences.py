"""Every difference that a test lets pass stands in docs/reference/differences.md, and what stands there is in use."""

import differences
import odd_questions
import update_rows
from test_answers_beside_peers import EXPLAINED


def used():
    """Return the ids by which tests let a peer differ."""
    rows = (*update_rows.rows(), *odd_questions.table())
    return {one for row in rows for one in row.differs} | set(EXPLAINED)


def test_the_page_lists_exactly_the_differences_that_tests_let_pass():
    assert set(differences.LISTED) == used()


def test_every_difference_names_its_peers():
    assert all(differences.LISTED.values())


def test_a_row_that_spares_a_peer_says_why():
    for row in update_rows.rows():
        assert set(row.spare) <= differences.peers(row.differs), row.id
