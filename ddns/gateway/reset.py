"""A gateway's end, and its beginning anew: its keys go, what is to be published stays, and is published again.

The home itself is its owner's: whatever is wiped here, the registry keeps the name for the owner, who has the next key
of this box, or of another one, put in the old one's place (`ddns.gateway.rekey`).
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ddns.gateway import agent, attesting, bootstrap, clock, enrolling, ldevid, pairing, rekey, state, vouched
from ddns.gateway.outcome import Status
from ddns.gateway.state import BadState, Entry, Kept, Outcome, State


def wipe(folder: Path, *, forget: bool = False) -> State | None:
    """Remove every key and secret from *folder*, and with *forget* everything else; return what was known.

    What is to be published stays without *forget*, as not published yet. Raises `BadState`.
    """
    with state.held(folder):
        known = state.read(folder)
        if known is not None:
            stays = msgspec.structs.replace(
                known,
                key="",
                enrolled_at=None,
                devices={name: Entry(one.wanted) for name, one in known.devices.items() if one.wanted is not None},
                records=tuple(Kept(one.record) for one in known.records if one.wanted),
            )
            state.write(folder, stays)  # first: who is interrupted finds no key that it could not read
        try:
            vouched.forget(folder)
            attesting.forget(folder)
            bootstrap.forget(folder)
            ldevid.forget(folder)
            for path in [*folder.glob("K*.private"), *folder.glob("K*.key"), *folder.glob("*.new")]:
                path.unlink()
            for name in (clock.FILE, pairing.FILE, rekey.ROLLING, rekey.BINDING):
                (folder / name).unlink(missing_ok=True)
            enrolling.done(folder)
            if forget:
                (folder / state.FILE).unlink(missing_ok=True)
        except OSError as error:
            raise BadState(f"{error.filename} cannot be removed: {error.strerror}") from None
        return known


def publish_again(folder: Path, wait: float) -> list[Outcome]:
    """Publish what is wanted and not published, as after a reset; return how each ended.

    Raises `agent.NotEnrolled`.
    """
    known = agent.enrolled(folder)
    outcomes: list[Outcome] = []
    for name, one in known.devices.items():
        if one.wanted is not None and one.wanted != one.published:
            outcomes.append(agent.publish(folder, name, lambda wanted: wanted, wait=wait))
    if any(_is_open(one) for one in known.records):
        outcomes.append(
            agent.record(
                folder, lambda now: [one.record for one in now.records if _is_open(one)], remove=False, wait=wait
            )
        )
    return outcomes


def _is_open(one: Kept) -> bool:
    return one.wanted and (one.outcome is None or one.outcome.status != Status.DONE)
