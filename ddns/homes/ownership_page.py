"""The page docs/reference/ownership.md, written from the machine of ownership.

python -m ddns.homes.ownership_page > docs/reference/ownership.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum

from ddns.dns.refusal import Refusal
from ddns.homes.ownership import RULES, Rule, decide, owner_after, owner_before
from ddns.homes.ownership_facts import Box, Home
from ddns.homes.ownership_worlds import NOW, worlds

_VENDOR = 24  # the row of who has no say

_HEAD = """\
# Who owns what, and who may change it

<!-- Written from ddns/homes/ownership.py: change the table there, then
     python -m ddns.homes.ownership_page > docs/reference/ownership.md -->

Names belong to owners, boxes only hold keys, and a vendor has no say: what a vendor signs vouches for new boxes, and
anything else that is signed by a vendor's key is refused (`vendor-has-no-say`). An owner is a person, known as keys
and nothing else. Every row below is one event: one transaction, one row in the home's history, or nothing at all.

Who asks is told by the key that signed. *owner* keys may do everything that an owner may; *admin* keys replace, approve
and revoke gateways, object, report a theft and begin a recovery; a *recovery* key begins a recovery and does nothing
else; a *gateway* key writes the home's records, and can neither release nor close it, nor add people. *claimant* and
*bearer* are owners who have no right here yet but what their own signature and the box's show. Each refusal is in
[the catalogue](refusals.md#ownership).

"""


def page() -> str:
    """Return the page, whole."""
    out = [_HEAD + "## Events", ""]
    out += ["| # | Event | What happens | Who | Proof | Home is | Box is | Refused unless | Does | Waits |"]
    out += ["|---|---|---|---|---|---|---|---|---|---|"]
    out += [_row(rule) for rule in RULES if rule.number < _VENDOR]
    vendor = f"| {_VENDOR} | anything | nothing: `vendor-has-no-say` | vendor | a vendor's key signed | | | | "
    out.append(vendor + "| once a day and home: `vendor-refused` in its history |")
    out += [_row(rule) for rule in RULES if rule.number > _VENDOR]
    out += [
        "",
        "The guards are asked in their order, and the first that fails is the answer. A home is *keyless* when no",
    ]
    out += ["gateway has a key for it: it stays its owner's, and stays in the DNS.", ""]
    homes, boxes, owners = _moves()
    out += _diagram("Homes", homes)
    out += _diagram("Boxes", boxes)
    out += _diagram("An owner's keys", owners)
    return "\n".join(out).rstrip("\n") + "\n"


def _row(rule: Rule) -> str:
    who = ", ".join(rule.who)
    guards = "; ".join(one.says for one in rule.guards)
    does = ", ".join(one.__name__ for one in rule.does)
    cells = (rule.number, f"`{rule.event}`", rule.says, who, rule.proof, _states(rule.homes, Home))
    rest = (_states(rule.boxes, Box), guards, does, rule.wait)
    return "| " + " | ".join(str(cell) for cell in (*cells, *rest)) + " |"


def _states(some: Sequence[StrEnum], every: type[StrEnum]) -> str:
    if not some or len(some) == len(every):
        return ""
    return ", ".join(some)


Move = tuple[str, str, str]  # from, to, event


def _moves() -> tuple[list[Move], list[Move], list[Move]]:
    """Return how homes, boxes and owners move, found by asking the machine in every world."""
    homes: dict[Move, None] = {}
    boxes: dict[Move, None] = {}
    owners: dict[Move, None] = {}
    for rule, facts, asked in worlds():
        found = decide(facts, asked, NOW)
        if isinstance(found, Refusal):
            continue
        if rule.homes and (facts.home is not found.home or facts.home is Home.NONE):
            homes[_end(facts.home, Home.NONE), _end(found.home, Home.NONE), rule.event] = None
        if facts.box is not found.box:
            boxes[_end(facts.box, Box.UNKNOWN), _end(found.box, Box.UNKNOWN), rule.event] = None
        if not rule.homes and not rule.boxes and rule.does:
            owners[owner_before(facts), owner_after(facts, found.effects), rule.event] = None
    return list(homes), list(boxes), list(owners)


def _end(state: StrEnum, outside: StrEnum) -> str:
    return "[*]" if state is outside else str(state)


def _diagram(title: str, moves: Iterable[Move]) -> list[str]:
    lines = [f"    {old} --> {new}: {event}" for old, new, event in moves]
    return [f"## {title}", "", "```mermaid", "stateDiagram-v2", *lines, "```", ""]


if __name__ == "__main__":
    sys.stdout.write(page())
