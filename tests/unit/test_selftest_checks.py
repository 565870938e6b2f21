"""What the selftest of gateways finds: nothing in a good box, and each planted fault by its own check."""

import json
from pathlib import Path

import pytest
from boxes_watched import FAULTS, GOOD, faulty, transcript
from click.testing import CliRunner

from ddns.cli import gateway_selftest
from ddns.selftest import report
from ddns.selftest.catalogue import CHECKS, Exit, judge, status
from ddns.selftest.check import Level, Result
from ddns.selftest.steps import METHODS

ROOT = Path(__file__).resolve().parents[2]
EVERY = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)


def missed(told):
    return {one.check.id for one in told if one.verdict.result == Result.MISSED}


@pytest.mark.parametrize("method", METHODS)
def test_a_good_box_meets_all(method):
    told = judge([transcript(method, GOOD[method]())])

    assert [one.check.id for one in told if one.verdict.result != Result.MET] == []
    assert status(told) == Exit.MET


@EVERY
def test_a_box_with_one_fault_misses_that_check_and_no_other(check):
    seen, also = faulty(check)

    told = judge([seen])

    assert missed(told) == {check.id} | also
    assert next(one.verdict.why for one in told if one.check == check)
    strict = any(one.level != Level.RECOMMENDED for one in CHECKS if one.id in {check.id} | also)
    assert (status(told) == Exit.MISSED) == strict


def test_there_is_a_fault_for_every_check_and_each_has_a_name_of_its_own():
    assert sorted(FAULTS) == sorted(one.id for one in CHECKS)


@EVERY
def test_of_a_box_that_did_nothing_nothing_is_said(check):
    told = judge([transcript(check.methods[0], {})])

    assert {one.verdict.result for one in told} == {Result.NOT_SEEN}
    assert status(told) == Exit.NOT_SEEN


def test_what_is_conditional_or_recommended_may_stay_unseen():
    events = {name: one for name, one in GOOD["invitation"]().items() if name not in ("roll", "next", "question")}

    told = judge([transcript("invitation", events)])

    unseen = {one.check.level for one in told if one.verdict.result == Result.NOT_SEEN}
    assert unseen == {Level.CONDITIONAL, Level.RECOMMENDED}
    assert status(told) == Exit.MET


def test_what_was_missed_in_one_method_is_missed_in_all():
    check = next(one for one in CHECKS if one.id == "STM-1")
    good = transcript("owner", GOOD["owner"]())

    assert missed(judge([faulty(check)[0], good])) == missed(judge([good, faulty(check)[0]])) == {"STM-1"}


def test_programs_are_told_the_same():
    told = judge([transcript("owner", GOOD["owner"]())])

    said = json.loads(json.dumps(report.members(["owner"], told)))

    assert (said["version"], said["methods"], said["exit_status"]) == (1, ["owner"], 0)
    assert [one["id"] for one in said["checks"]] == [one.check.id for one in told]
    assert set(said["checks"][0]) == {"id", "level", "source", "sentence", "result", "why"}


def test_people_read_why():
    check = next(one for one in CHECKS if one.id == "RETRY-1")

    lines = list(report.lines(judge([faulty(check)[0]])))

    assert any(line.startswith("✗ RETRY-1") and line.endswith("missed") for line in lines)
    assert any("It came again after" in line and "By enrolment-protocol.md" in line for line in lines)
    assert " 1 missed," in lines[-1]


def test_the_page_is_the_tables():
    written = (ROOT / "docs/reference/selftest.md").read_text()

    assert written == report.page(), "write it anew: python -m ddns.selftest.report > docs/reference/selftest.md"


def test_every_source_of_ours_is_a_page_with_that_heading():
    for check in CHECKS:
        page, _, heading = check.source.partition(", ")
        if not page.endswith(".md"):
            continue
        (found,) = ROOT.glob(f"docs/*/{page}")
        text = found.read_text()
        if page == "refusals.md":
            assert all(f"`{code}`" in text for code in heading.split(" and ")), check.id
        else:
            assert f"## {heading}\n" in text, check.id


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        (lambda: transcript("owner", GOOD["owner"]()), 0),
        (lambda: faulty(next(one for one in CHECKS if one.id == "OWN-1"))[0], 1),
        (lambda: transcript("owner", {}), 4),
    ],
    ids=["met", "missed", "not seen"],
)
def test_the_exit_status_says_it(capsys, seen, status):
    assert gateway_selftest.end(["owner"], [seen()], as_json=True) == status
    assert json.loads(capsys.readouterr().out)["exit_status"] == status
    assert gateway_selftest.end(["owner"], [seen()], as_json=False) == status
    assert "OWN-1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--listen", "0.0.0.0"], "none that a box can be told"),
        (["--listen", "home"], "is no IPv4 or IPv6 address"),
        (["--method", "qr"], "goes with --code and --box"),
        (["--code", "DPP:K:AAAA;;"], "goes with --code and --box"),
        (["--code", "DPP:K:AAAA;;", "--box", "here"], "write ADDR:PORT"),
        (["--target", "self", "--box", "127.0.0.1:80"], "leave them out"),
        (["--method", "scan"], "is not one of"),
    ],
    ids=["any address", "no address", "no code", "no box", "no place", "two boxes", "no method"],
)
def test_what_cannot_be_meant_is_said_so(words, sentence):
    done = CliRunner().invoke(gateway_selftest.selftest, words)

    assert (done.exit_code, sentence in done.output) == (2, True), done.output


def test_the_command_offers_the_methods_that_there_are():
    assert gateway_selftest.METHODS == METHODS
