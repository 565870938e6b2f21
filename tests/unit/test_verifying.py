"""Strangers who sign share so much of a desk's CPU; who has done something here lately does not wait for them."""

import pytest
from people import p256

from ddns.proof import jwk, jws, statements
from ddns.proof.statements import Enrol
from ddns.web.rations import RationLimits, Rations
from ddns.web.routes import Refused
from ddns.web.verifying import Verifying, VerifyLimits

OWNER, STRANGER = p256(901), p256(902)


class Desk:
    """A desk whose clocks are ours: *now*, and the CPU time that it has *used*."""

    def __init__(self, **limits):
        self.now = self.used = 0.0
        rations = Rations(RationLimits(), lambda: self.now, bytes)
        self.verifying = Verifying(VerifyLimits(**limits), rations, lambda: self.now, lambda: self.used)

    def take(self, key, source="192.0.2.1", cost=0.1, *, good=False, beside=()):
        """Return 0 if a statement by *key* was verified, or after how many seconds it may come again."""
        said = Enrol(aud="a.example.", iat=0, exp=9, jti="j" * 20, method="invitation")
        try:
            with self.verifying.bill(source) as bill:
                bill.by(jws.read(statements.sign(said, key, *beside)))
                self.used += cost
        except Refused as refused:
            return refused.retry_after if refused.refusal.code == "desk-busy" else -1
        if good:
            self.verifying.done(source, jwk.of(key))
        return 0


def test_strangers_from_everywhere_share_one_purse_of_cpu_time():
    """However many they are; it fills again with time, and never beyond its burst."""
    desk = Desk(rate=0.5, burst=1.0)

    taken = [desk.take(p256(910 + number), f"192.0.2.{number}", 0.25) for number in range(6)]

    assert taken[:4] == [0] * 4
    assert min(taken[4:]) > 0
    desk.now = 1.0
    assert [desk.take(STRANGER, cost=0.25) for _ in range(3)][:2] == [0, 0]
    assert desk.take(STRANGER) > 0
    desk.now = 1000.0
    assert [desk.take(STRANGER, cost=0.25) > 0 for _ in range(5)] == [False] * 4 + [True]


def test_who_did_something_here_lately_does_not_wait_for_strangers():
    desk = Desk(rate=0.5, burst=1.0, known_for=60.0)
    assert desk.take(OWNER, good=True) == 0

    assert desk.take(STRANGER, cost=5.0) == 0

    assert desk.take(STRANGER) > 0
    assert [desk.take(OWNER) for _ in range(20)] == [0] * 20
    assert desk.take(p256(903), beside=[OWNER]) == 0  # the owner enrols a new box
    assert desk.take(OWNER, "198.51.100.1") > 0  # whoever names the owner's key from elsewhere is a stranger
    desk.now = 61.0
    desk.take(STRANGER, cost=50.0)
    assert desk.take(OWNER) > 0


def test_what_a_known_key_costs_is_not_the_strangers():
    desk = Desk(rate=0.5, burst=1.0)
    desk.take(OWNER, good=True)

    desk.take(OWNER, cost=100.0)

    assert desk.take(STRANGER) == 0


def test_a_debt_ends_after_as_long_as_the_burst_takes():
    desk = Desk(rate=0.5, burst=1.0)
    desk.take(STRANGER, cost=1000.0)

    assert 0 < desk.take(STRANGER, cost=1000.0) <= 30
    desk.now = 2.1
    assert desk.take(STRANGER) == 0


@pytest.mark.parametrize("number", [3, 4], ids=["all of them", "one too many"])
def test_the_one_that_did_nothing_for_longest_is_forgotten_first(number):
    desk = Desk(rate=0.5, burst=1.0, known=3)
    for one in range(number):
        desk.take(p256(920 + one), cost=0.0, good=True)
    desk.take(STRANGER, cost=5.0)

    assert (desk.take(p256(920)) == 0) == (number == 3)
    assert desk.take(p256(920 + number - 1)) == 0
