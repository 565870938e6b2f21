"""What `ddns apply` did, or would do, as its plan shows it."""

from __future__ import annotations

from collections import Counter

import msgspec


class Action(msgspec.Struct, frozen=True):
    """One thing that is done: *verb* is `add`, `change` or `remove`.

    *noun* is `signing`, `key`, `zone`, `grant`, `transfer`, `tenant`, `policy`, `bond`, `verifier` or `webhook`.
    """

    verb: str
    noun: str
    name: str
    detail: str = ""


class Applied(msgspec.Struct):
    """What was done, or would be: *kept* counts what was so already, *pending* are zones that wait for the signer."""

    actions: list[Action] = []
    kept: Counter[str] = Counter()
    pending: list[int] = []
    notes: list[str] = []
