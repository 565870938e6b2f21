"""What a step does, as the events that are kept of it for ever: what happened to which key, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from zone_signer.keyrows import Event
from zone_signer.keyview import KeyView
from zone_signer.stage import Step


def events_of(one: Step, keys: Mapping[str, KeyView]) -> Iterator[Event]:
    """Yield what a step does to *keys*, by their ids, one event each."""
    for ident in one.compromised:
        yield Event(keys[ident], "key", "", "compromised", "somebody said so")
    for ident in one.leave:
        yield Event(keys[ident], "key", "stays", "leaves", "it is replaced, or not wanted any more")
    for ident in one.stay:
        yield Event(keys[ident], "key", "leaves", "stays", "it is wanted again")
    for sight in one.noticed:
        key = keys[sight.key]
        yield Event(
            key, sight.record.value, key.phase(sight.record).value, "seen", "every server shows it", sight.evidence
        )
    for move in one.moves:
        yield Event(keys[move.key], move.record.value, move.before.value, move.after.value, move.why, move.evidence)
    for ident in one.destroy:
        yield Event(keys[ident], "key", "", "removed", "no cache holds anything of it: its private half is destroyed")
    for ident in one.purge:
        yield Event(keys[ident], "key", "removed", "", "it was removed long ago")
    if one.resign:
        yield Event(None, "zone", "", "resigned", "somebody asked for all signatures anew")
