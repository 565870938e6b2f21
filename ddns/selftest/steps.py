"""What a box is asked to do, step by step: what a person reads, what trouble there is, and when the step is over."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ddns.selftest.facts import Facts
from ddns.selftest.playing import Trouble
from ddns.selftest.transcript import Gained, Phoned
from ddns.selftest.voucher_checks import LATER, TRICKS


class Step(msgspec.Struct, frozen=True):
    """One step. *says* is for a person, with the names of `Lab.words` in braces; *over* tells when it was done."""

    id: str
    says: str
    over: Callable[[Facts], bool]
    trouble: Trouble = Trouble()


def _enrolled(count: int) -> Callable[[Facts], bool]:
    """Return what tells whether so many different wishes have been done."""
    return lambda facts: (
        len({one.signed.digest for one in facts.enrolments if one.done and one.signed is not None}) >= count
    )


def _published(step: str) -> Callable[[Facts], bool]:
    """Return what tells whether an update was accepted in *step*."""
    return lambda facts: any(one.event.step == step and one.rcode == 0 for one in facts.updates)


def _rolled(facts: Facts) -> bool:
    """Tell whether a key rolled, and the next one was used."""
    rolled = [one for one in facts.lives if one.how == "roll-key"]
    return any(one.rcode == 0 and one.is_by(life.key) for life in rolled for one in facts.updates)


def _known(how: str) -> Callable[[Facts], bool]:
    """Return what tells whether a key that came by *how* was used, and accepted."""
    return lambda facts: any(
        one.rcode == 0 and one.is_by(life.key)
        for life in facts.lives
        if life.how == how
        for one in (*facts.probes, *facts.updates)
    )


def _gained(step: str) -> Callable[[Facts], bool]:
    """Return what tells whether a certificate was got in *step*."""
    return lambda facts: any(isinstance(one, Gained) and one.step == step for one in facts.events)


def _brought(facts: Facts) -> bool:
    """Tell whether the box took over what its owner's phone brought it."""
    return any(isinstance(one, Phoned) and (one.what, one.status) == ("enrolled", 200) for one in facts.events)


INVITATION = (
    Step(
        "enrol",
        "Enrol the box by this invitation, by HTTPS:\n  {first}\n  or as a link: {first_link}\n"
        "Its first connection meets a stranger, its first request a registry that is busy. Where the box gives up, "
        "have it go on.",
        _enrolled(1),
        Trouble(stranger=1, busy=1),
    ),
    Step(
        "publish",
        "Have the box publish an address of a device, such as 2001:db8::7 at cam. Two of its messages get lost.",
        _published("publish"),
        Trouble(lost=2),
    ),
    Step("roll", "Have the box roll its key, and publish another address; a box need not be able to.", _rolled),
    Step(
        "reset",
        "Reset the box to what it was in the shop, and enrol it by this invitation:\n  {second}\n"
        "  or as a link: {second_link}",
        _enrolled(2),
    ),
)

OWNER = (
    Step(
        "enrol",
        "Give the box this invitation:\n  {first}\nand its owner's public key, {owner_file}:\n  {owner}\n"
        "Put what it has for its owner's phone into {handed_first}; the phone here signs it and posts it.",
        _known("enrol"),
    ),
    Step(
        "publish",
        "Have the box publish an address of a device, such as 2001:db8::7 at cam.",
        _published("publish"),
    ),
    Step(
        "reset",
        "Reset the box, so that it has no key but knows its home, and have it ask for the home again (replace).\n"
        "Put what it has for its owner's phone into {handed_second}.",
        _known("replace"),
    ),
)

VOUCHER = (
    Step(
        "enrol",
        "Give the box these as what its maker put into it: the certificate {idevid}, its key {idevid_key}, and whom it "
        "believes vouchers from, {anchor}.\nHave it enrol (RFC 8995) at {url}. It gets five vouchers that are bad, and "
        "has to wait for the good one; have it go on where it gives up.",
        _gained("enrol"),
        Trouble(tricks=(*TRICKS, LATER)),
    ),
    Step("publish", "Have the box publish an address of a device, such as 2001:db8::7 at cam.", _published("publish")),
    Step(
        "reset",
        "Reset the box to what it was in the shop, and have it enrol at {url} again.",
        _gained("reset"),
    ),
)

CODE = (
    Step(
        "enrol",
        "Have the box wait for a phone at {box}. The phone here scans its code, and the owner accepts.",
        _brought,
    ),
    Step("publish", "Have the box publish an address of a device, such as 2001:db8::7 at cam.", _published("publish")),
    OWNER[-1],
)

STEPS: dict[str, tuple[Step, ...]] = {"invitation": INVITATION, "owner": OWNER, "voucher": VOUCHER, "qr": CODE}
METHODS = tuple(STEPS)
