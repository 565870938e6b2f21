"""The rationing of SIG(0) verifications: every bucket at n and n + 1, and who is never locked out."""

from __future__ import annotations

import pytest

from ddns.auth.budget import Buckets, Budget, BudgetLimits, prefix
from ddns.dns import names

SMITH = names.from_text("smith.example.")
JONES = names.from_text("jones.example.")


def tight(**more: float) -> Budget:
    limits = {
        "source_burst": 3, "source_rate": 1, "key_burst": 2, "key_rate": 0.5, "worker_burst": 100, "worker_rate": 100,
    }  # fmt: skip
    return Budget(BudgetLimits(**{**limits, **more}))


def spent(budget: Budget, times: int, key: bytes = SMITH, source: str = "192.0.2.1", now: float = 0.0) -> list[bool]:
    return [budget.spend(key, source, now) for _ in range(times)]


def test_a_bucket_gives_its_burst_and_then_its_rate():
    """Three at once, then one a second."""
    buckets = Buckets(3, 1, 10)

    assert [buckets.take("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert not buckets.take("a", 0.9)
    assert buckets.take("a", 1.0)
    assert not buckets.take("a", 1.0)
    assert [buckets.take("a", 100.0) for _ in range(4)] == [True, True, True, False]


def test_owners_do_not_share():
    """One owner's empty bucket is nobody else's."""
    buckets = Buckets(1, 0, 10)

    assert buckets.take("a", 0.0)
    assert not buckets.take("a", 0.0)
    assert buckets.take("b", 0.0)


def test_what_is_given_back_can_be_taken_again():
    """Up to the burst, and nothing is given to who never took."""
    buckets = Buckets(1, 0, 10)
    buckets.give_back("nobody")
    assert buckets.take("a", 0.0)
    buckets.give_back("a")
    buckets.give_back("a")

    assert [buckets.take("a", 0.0), buckets.take("a", 0.0)] == [True, False]
    assert len(buckets) == 1


def test_buckets_are_bounded_in_number():
    """The least recently used is forgotten."""
    buckets = Buckets(1, 0, 2)
    buckets.take("a", 0.0)
    buckets.take("b", 0.0)
    buckets.take("a", 0.0)
    buckets.take("c", 0.0)

    assert len(buckets) == 2
    assert not buckets.take("a", 0.0)
    assert buckets.take("b", 0.0)


def test_a_clock_that_steps_back_gives_nothing():
    """And takes nothing."""
    buckets = Buckets(1, 1, 2)

    assert buckets.take("a", 100.0)
    assert not buckets.take("a", 50.0)
    assert buckets.take("a", 51.0)


def test_a_source_pays():
    """Wrong signatures with different keys from one network end at its burst."""
    budget = tight()

    assert [budget.spend(bytes((1, letter, 0)), "192.0.2.1", 0.0) for letter in b"abcd"] == [True, True, True, False]
    assert budget.spend(SMITH, "198.51.100.1", 0.0)


def test_a_key_pays():
    """Wrong signatures in one key's name from different networks end at its burst."""
    budget = tight()

    assert [budget.spend(SMITH, f"192.0.{net}.1", 0.0) for net in range(3)] == [True, True, False]
    assert budget.spend(JONES, "192.0.9.1", 0.0)


def test_the_worker_pays():
    """Wrong signatures with any keys from any networks end at the worker's burst, and go on at its rate."""
    budget = tight(worker_burst=4, worker_rate=2)

    outcomes = [budget.spend(bytes((1, at, 0)), f"10.0.{at}.1", 0.0) for at in range(6)]

    assert outcomes == [True] * 4 + [False] * 2
    assert [budget.spend(bytes((1, at, 0)), f"10.1.{at}.1", 1.0) for at in range(3)] == [True, True, False]


def test_good_signatures_cost_nothing():
    """A gateway with the right key is never slowed down."""
    budget = tight()

    for _ in range(100):
        assert budget.could_spend(SMITH, "192.0.2.1", 0.0)
        budget.remember(SMITH, "192.0.2.1", 0.0)


def test_strangers_cannot_lock_a_home_out():
    """A source that has shown the key's signature has a purse of its own for it."""
    budget = tight(worker_burst=4, worker_rate=0)
    assert budget.could_spend(SMITH, "192.0.2.1", 0.0)
    budget.remember(SMITH, "192.0.2.1", 0.0)
    for net in range(20):
        budget.spend(SMITH, f"10.0.{net}.1", 0.0)
        budget.spend(bytes((1, net, 0)), f"10.1.{net}.1", 0.0)

    assert not budget.spend(SMITH, "198.51.100.1", 0.0)
    for _ in range(10):
        assert budget.could_spend(SMITH, "192.0.2.1", 0.0)
        budget.remember(SMITH, "192.0.2.1", 0.0)


def test_a_known_source_that_goes_bad_pays():
    """Its own purse has an end too."""
    budget = tight(source_burst=50)
    assert budget.could_spend(SMITH, "192.0.2.1", 0.0)
    budget.remember(SMITH, "192.0.2.1", 0.0)

    assert spent(budget, 3) == [True, True, False]


def test_a_source_is_remembered_for_a_time():
    """Afterwards it pays like a stranger, and comes back with its next good signature."""
    budget = tight(known_for=10, worker_burst=1, worker_rate=0)
    assert budget.could_spend(SMITH, "192.0.2.1", 0.0)
    budget.remember(SMITH, "192.0.2.1", 0.0)
    assert budget.spend(JONES, "198.51.100.1", 0.0)

    assert budget.spend(SMITH, "192.0.2.1", 9.9)
    assert not budget.spend(SMITH, "192.0.2.1", 10.0)


def test_sources_remembered_are_bounded():
    """The least recently seen is forgotten."""
    budget = tight(purses=2, worker_burst=2, worker_rate=0)
    for net in range(3):
        assert budget.could_spend(SMITH, f"192.0.{net}.1", 0.0)
        budget.remember(SMITH, f"192.0.{net}.1", 0.0)
    budget.spend(JONES, "10.0.0.1", 0.0)
    budget.spend(JONES, "10.0.1.1", 0.0)

    assert not budget.spend(SMITH, "192.0.0.1", 0.0)
    assert budget.spend(SMITH, "192.0.2.1", 0.0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.254", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("2001:db8:0:100::1", "2001:db8:0:1ff::1", True),
        ("2001:db8:0:100::1", "2001:db8:0:200::1", False),
        ("::ffff:192.0.2.1", "192.0.2.9", True),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_sources_are_networks(one, other, same):
    """IPv4 /24, IPv6 /56, mapped addresses as what they map."""
    assert (prefix(one) == prefix(other)) is same


def test_who_has_proved_its_address_pays_from_other_purses():
    """Strangers who claim a home's address, or use up the worker's purse, do not keep the home from coming by TCP."""
    budget = tight(worker_burst=4, worker_rate=0)
    for net in range(20):
        budget.spend(SMITH, f"10.0.{net}.1", 0.0)
        budget.spend(SMITH, "192.0.2.1", 0.0)
        budget.spend(bytes((1, net, 0)), f"10.1.{net}.1", 0.0)
    assert not budget.spend(SMITH, "192.0.2.1", 0.0)

    for _ in range(10):
        assert budget.could_spend(SMITH, "192.0.2.1", 0.0, proved=True)
        budget.remember(SMITH, "192.0.2.1", 0.0)


def test_who_has_proved_its_address_has_a_ration_too():
    """The key's and the source's for each network, and the worker's for all of them."""
    budget = tight(worker_burst=5, worker_rate=0)

    assert [budget.spend(SMITH, "192.0.2.1", 0.0, proved=True) for _ in range(3)] == [True, True, False]
    assert [budget.spend(SMITH, f"10.0.{net}.1", 0.0, proved=True) for net in range(4)] == [True, True, True, False]
    assert budget.spend(JONES, "198.51.100.1", 0.0)


@pytest.mark.parametrize("proved", [False, True])
def test_whether_a_purse_is_empty_can_be_asked_without_paying(proved):
    """It says what `spend` will, whichever purse is empty, and takes nothing."""
    budget = tight(worker_burst=7, worker_rate=1)
    for at in range(40):
        who = (bytes((1, at % 3, 0)), f"192.0.{at % 5}.1", at / 10)
        could = [budget.could_spend(*who, proved=proved) for _ in range(3)]
        assert could == [budget.spend(*who, proved=proved)] * 3
