"""Every fuzz target over its seeds, over what once failed, and over some damage that is the same every time."""

import fuzzing
import pytest

DAMAGED = 150  # mutations of each target


def run(target, octets):
    with fuzzing.Work() as work:
        outcome = target.work(octets)
    assert work.calls <= target.BOUND, f"{work.calls} calls"
    target.judge(octets, outcome)


@pytest.mark.parametrize("name", fuzzing.TARGETS)
def test_seeds_are_done_as_they_should_be(name):
    target = fuzzing.target(name)

    for octets in target.seeds():
        run(target, octets)


@pytest.mark.parametrize(("name", "what"), [(name, what) for name in fuzzing.TARGETS for what in fuzzing.kept(name)])
def test_what_once_failed_does_not_fail_again(name, what):
    run(fuzzing.target(name), fuzzing.kept(name)[what])


@pytest.mark.parametrize("name", fuzzing.TARGETS)
def test_damage_is_met_with_an_answer_or_a_refusal(name):
    target = fuzzing.target(name)

    for octets in fuzzing.mutations(name, target.seeds(), DAMAGED):
        try:
            run(target, octets)
        except Exception as error:
            error.add_note(f"octets: {octets.hex()}")
            raise


@pytest.mark.parametrize("name", fuzzing.TARGETS)
def test_a_truncated_seed_is_met_with_an_answer_or_a_refusal(name):
    target = fuzzing.target(name)

    for octets in target.seeds()[::4]:
        for size in range(0, len(octets), 1 + len(octets) // 40):
            run(target, octets[:size])
