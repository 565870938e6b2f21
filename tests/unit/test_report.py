"""What a worker has counted is said every few minutes, where there is anything new, and at the end."""

import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from ddns.answer.counters import RECEIVED, Counters
from ddns.net.report import EVERY, Report


@pytest.fixture
def said():
    """Return the lines that the log gets."""
    lines = []

    def observe(event):
        if event["log_namespace"] == "ddns.worker":
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def test_what_is_new_is_said_now_and_then_and_everything_at_the_end(said):
    """A worker that nobody asks says nothing meanwhile."""
    clock, counters = Clock(), Counters()
    report = Report(counters, clock.callLater)
    report.start()

    clock.advance(EVERY)
    assert said == []
    counters.numbers[RECEIVED] = 7
    for _ in range(3):
        clock.advance(EVERY)
    assert said == ["worker.counted datagrams=7 handed_over=0 streamed=0 truncated=0 dropped=0 slipped=0"]
    report.close()

    assert said == said[:1] * 2
    assert clock.getDelayedCalls() == []
