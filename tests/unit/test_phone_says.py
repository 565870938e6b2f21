"""Whatever somebody may sign, `ddns phone` can say, accept or carry."""

import click
import pytest

from ddns.cli.phone import command
from ddns.proof.statements import ACTS, SIGNERS

# What has no verb of its own under `say`: the gateway signs first and its owner accepts, or the owner only carries it.
OTHERWISE = {
    "enrol": "accept", "bind-owner": "accept", "replace": "accept", "claim": "claim", "token": "notices",
    "announce-key": "carry", "roll-key": "carry",
}  # fmt: skip
OWNERS = ("owner", "admin", "recovery", "claimant")


@pytest.mark.parametrize("act", ACTS)
def test_every_act_can_be_said(act):
    say = command.commands["say"]
    assert isinstance(say, click.Group)

    verb = command.commands.get(OTHERWISE[act]) if act in OTHERWISE else say.commands.get(act)

    assert verb is not None
    assert verb.help
    assert (act in say.commands) != (act in OTHERWISE)


def test_what_is_only_carried_is_signed_by_nobody_of_the_owners():
    carried = {act for act, verb in OTHERWISE.items() if verb == "carry"}

    assert {act for act in ACTS if not any(who in " ".join(SIGNERS[act]) for who in OWNERS)} == carried
