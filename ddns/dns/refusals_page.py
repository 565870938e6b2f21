"""The page docs/reference/refusals.md, written from the catalogue.

python -m ddns.dns.refusals_page > docs/reference/refusals.md
"""

from __future__ import annotations

import sys

from ddns.dns.refusals import CATALOGUE, Chapter, Turn

_HEAD = """\
# Refusals and their cures

<!-- Written from ddns/dns/rows: add a row to the file of its subject, then
     python -m ddns.dns.refusals_page > docs/reference/refusals.md -->

Each refusal has a code that stays the same, a response code for the header, an extended error (EDE, RFC 8914), and one
sentence for people that ends with the code in brackets. `dig`, `kdig` and our agent show it, `nsupdate` does not; the
registry can look it up (`ddns explain`), and `ddns explain CODE` prints a row of this page.
[How to find out why](../howto/find-out-why.md) has an example.

What the sender sees first is the response code:

| Response code | Says | Look at |
|---|---|---|
| FORMERR | the message is not what the standard allows | the client |
| NOTAUTH | the signature, or the zone, is not known or not good here | key, clock, zone name |
| REFUSED | understood, and not allowed | grants, limits, rations |
| NOTZONE | a name is not in the zone that the message names | the zone statement |
| NXDOMAIN, NXRRSET, YXDOMAIN, YXRRSET | a prerequisite does not hold | your picture of the zone |
| SERVFAIL | an outage here; nothing was changed unless it was committed before | send the same message again |
| no answer | the message was not a request, or was lost | send the same octets again: they are applied once |

The column *turn* says whose turn it is, and so what a program should do; the agent's
[exit status](commands.md#ddns-gateway) follows it:

| Turn | What to do |
|---|---|
"""

TURNS = {
    Turn.POLICY: "the registry does not allow it: ask for less, or the registry for more; do not just send it again",
    Turn.KEY: "the key, or the signature by it, is not accepted: compare the key, or enrol again",
    Turn.CLOCK: "set the sender's clock and send again",
    Turn.LATER: "nothing is wrong with the message: send the same one again in a while",
    Turn.STATE: "the zone is not as the sender thinks: look, and send a new update",
    Turn.FORM: "the message is not what the standard allows: mend the client",
    Turn.ANSWER: "the answer may be anybody's: look what is published before sending again",
}

_NOTES = {
    Chapter.CLIENT: "These are found by the agent when it checks a reply that was signed; no server sends them.",
}


def page() -> str:
    """Return the page, whole."""
    out = [_HEAD + "\n".join(f"| {turn} | {what} |" for turn, what in TURNS.items())]
    for chapter in Chapter:
        rows = [row for row in CATALOGUE.values() if row.chapter is chapter]
        if not rows:
            continue
        out += ["", f"## {chapter}", ""]
        if chapter in _NOTES:
            out += [_NOTES[chapter], ""]
        out += ["| Code | Response | EDE | Turn | Meaning | Cure |", "|---|---|---|---|---|---|"]
        out += [
            f"| `{row.code}` | {row.says} | {int(row.ede)} | {row.turn} | {row.meaning} | {row.cure} |" for row in rows
        ]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
