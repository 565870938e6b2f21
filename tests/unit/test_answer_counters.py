"""The counters of a worker: an answer counts by its whole RCODE, and all of them make one line."""

import pytest

from ddns.answer import counters
from ddns.answer.counters import Counters
from ddns.dns import wire as wires
from ddns.dns.codes import Rcode

QUESTION = b"\0\1\1\0\0\1\0\0\0\0\0\1\0\0\1\0\1"


@pytest.mark.parametrize("rcode", [*Rcode, 11])
@pytest.mark.parametrize("options", [(), ((10, bytes(24)),)])
def test_an_answer_counts_by_its_whole_rcode(rcode, options):
    """The upper part of one above 15 stands in the OPT record (RFC 6891 §6.1.3)."""
    tail = wires.opt(1232, do=True, extended=rcode >> 4, options=options)
    found = Counters()

    found.count(QUESTION[:2] + bytes((0x84, rcode & 15)) + QUESTION[4:] + tail)

    assert sum(found.numbers) == found.numbers[rcode] == 1


def test_truncated_answers_count_as_such_too():
    found = Counters()

    found.count(QUESTION[:2] + b"\x86\0" + bytes(8))

    assert found.numbers[counters.TRUNCATED] == found.numbers[0] == 1


@pytest.mark.parametrize("size", range(40))
def test_octets_that_are_no_whole_answer_stop_nothing(size):
    """What is too short for a header is no answer."""
    found = Counters()

    found.count((QUESTION + wires.opt(1232, do=False))[:size])

    assert sum(found.numbers) == (size >= 12)


def test_an_rcode_that_has_no_place_is_not_counted():
    """Nobody here says such; the numbers beside it stay what they are."""
    found = Counters()

    found.count(QUESTION + wires.opt(1232, do=False, extended=255))

    assert sum(found.numbers) == 0


def test_the_line_names_the_rcodes_that_were_used():
    """Those without a name of their own by their number."""
    found = Counters()
    for rcode in (0, 3, 3, 11):
        found.numbers[rcode] += 1
    found.numbers[counters.RECEIVED] = 5

    assert found.line() == (
        "datagrams=5 handed_over=0 streamed=0 truncated=0 dropped=0 slipped=0 noerror=1 nxdomain=2 rcode11=1"
    )
