"""One run: each method with its steps, what a person reads meanwhile, and the transcripts in the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from ddns.demo.registry import free_port
from ddns.demo.screen import Broken
from ddns.selftest.facts import Facts
from ddns.selftest.lab import Lab
from ddns.selftest.own import OwnBox
from ddns.selftest.steps import STEPS, Step
from ddns.selftest.transcript import Recorder, Transcript

Say = Callable[[str], None]


def run(
    lab: Lab, methods: Sequence[str], timeout: float, say: Say, *, own: bool, skip: Callable[[], bool]
) -> list[Transcript]:
    """Have a box go through *methods*, and return what was written down of each.

    With *own* our own agent is the box; else a person is told what to do, has *timeout* seconds for each step, and
    goes on without it where *skip* says so. Raises `Broken`.
    """
    found: list[Transcript] = []
    for method in methods:
        box = OwnBox(lab.folder / f"box-{method}", ("127.0.0.1", free_port(["127.0.0.1"]))) if own else None
        if method == "qr" and box is not None:
            lab.scanned = (box.code(), box.door)
        recorder = lab.begin(method)
        for step in STEPS[method]:
            recorder.step = step.id
            lab.play.begin(step.trouble)
            say(f"[{method}: {step.id}] {'Our own gateway does it.' if own else step.says.format(**lab.words)}")
            deed = None if box is None else box.deed(method, step.id, lab.words)
            done = _wait(lab, recorder, step, timeout, deed, skip)
            say("Done." if done else "It was not done.")
        found.append(recorder.transcript())
    return found


def _wait(
    lab: Lab,
    recorder: Recorder,
    step: Step,
    timeout: float,
    deed: Callable[[], None] | None,
    skip: Callable[[], bool],
) -> bool:
    """Wait until *step* is over, or skipped; with a *deed*, do that meanwhile, and end with it. Raises `Broken`."""
    broken: list[Broken] = []

    def work() -> None:
        assert deed is not None
        try:
            deed()
        except Broken as error:
            broken.append(error)

    worker = threading.Thread(target=work, daemon=True)

    def over(transcript: Transcript) -> bool:
        return step.over(Facts(transcript))

    def ended() -> bool:
        last = skip() if deed is None else not worker.is_alive()
        lab.look()
        return last

    if deed is None:
        return recorder.wait(over, timeout, ended)
    worker.start()
    done = recorder.wait(over, timeout, ended)
    worker.join(timeout)
    if broken:
        raise broken[0]
    return done
