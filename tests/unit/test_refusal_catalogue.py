"""The catalogue of refusals is the code's own: same codes, same response codes, same extended errors, same page."""

import ast
import re
from pathlib import Path

import pytest

from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import MOST_EXTRA_TEXT, Refusal, extra_text
from ddns.dns.refusals import CATALOGUE, ROWS, Turn, turn_of
from ddns.dns.refusals_page import page

ROOT = Path(__file__).parents[2]
TREES = {path: ast.parse(path.read_text()) for path in sorted((ROOT / "ddns").rglob("*.py"))}


def calls(tree, name):
    """Yield all calls of the function *name*."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            if called == name:
                yield node


def given(call, place, keyword):
    """Return the last word of an argument such as `Rcode.REFUSED`; None where it is not given in this form."""
    found = call.args[place] if len(call.args) > place else None
    found = next((one.value for one in call.keywords if one.arg == keyword), found)
    return getattr(found, "attr", None), found is None


def refusals():
    """Return (code, call or None) for all refusals that the code can make, found in its syntax trees."""
    for tree in TREES.values():
        made = [(call, name) for name in ("Refusal", "BadProof") for call in calls(tree, name)]
        for node in ast.walk(tree):
            # A helper that is told the code first and makes the refusal.
            if isinstance(node, ast.FunctionDef) and node.args.args and node.args.args[0].arg == "code":
                made += [(call, node.name) for call in calls(tree, node.name)]
        for call, by in made:
            if call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str):
                yield call.args[0].value, call if by == "Refusal" else None


def test_the_catalogue_has_exactly_the_refusals_that_the_code_makes():
    assert set(CATALOGUE) == {code for code, _ in refusals()}


@pytest.mark.parametrize(("code", "call"), [pytest.param(*one, id=one[0]) for one in refusals() if one[1] is not None])
def test_a_refusal_answers_what_the_catalogue_says(code, call):
    row = CATALOGUE[code]
    rcode, _ = given(call, 1, "rcode")
    ede, silent = given(call, 3, "ede")

    assert rcode is None or rcode == row.says.split(",")[0]
    assert (Ede.OTHER if silent else ede and Ede[ede]) in (row.ede, None)


def test_no_two_rows_have_one_code():
    codes = [row.code for row in ROWS]

    assert len(codes) == len(set(codes))


def test_every_row_has_a_stable_code_a_response_code_that_exists_a_meaning_and_a_cure():
    for row in CATALOGUE.values():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", row.code)
        assert row.says.split(",")[0] in Rcode.__members__
        assert row.meaning
        assert row.cure
        assert not re.search(r"[|\n]|\.$", row.meaning + row.cure), row.code


def test_the_page_is_the_catalogues():
    written = (ROOT / "docs/reference/refusals.md").read_text()

    assert written == page(), "write it anew: python -m ddns.dns.refusals_page > docs/reference/refusals.md"


def test_whose_turn_it_is_after_a_code_of_somebody_else_is_not_known():
    assert turn_of("name-not-granted") is Turn.POLICY
    assert turn_of("no-such-code") is None


def test_the_extra_text_ends_with_the_code_and_does_not_repeat_it():
    refusal = Refusal("name-in-use", Rcode.YXDOMAIN, "The name is\n in use.")

    assert refusal.extra_text == "The name is in use. [name-in-use]"
    assert extra_text(refusal.extra_text, "name-in-use") == refusal.extra_text
    assert extra_text(refusal.extra_text) == refusal.extra_text


@pytest.mark.parametrize("length", [1, 5, 20, 60, 63])
@pytest.mark.parametrize("label", [b"k", b"\x00", b"\xff"], ids=["letters", "NUL", "octets"])
def test_the_extra_text_of_the_longest_names_is_short_and_keeps_cure_and_code(length, label):
    long = names.to_text(names.from_text("example."))
    for _ in range(254 // (length + 1)):
        long = names.to_text(bytes([length]) + label * length + b"\0").rstrip(".") + "." + long
    text = extra_text(f"The key {long} may not write {long} TXT; ask the registry for a grant.", "name-not-granted")

    assert len(text.encode()) <= MOST_EXTRA_TEXT
    assert text.startswith("The key ")
    assert text.endswith(" TXT; ask the registry for a grant. [name-not-granted]")


def test_an_extra_text_of_many_words_is_cut_between_characters():
    text = extra_text("ä ö ü " * 100, "x")

    assert len(text.encode()) <= MOST_EXTRA_TEXT
    assert text.endswith("… [x]")


@pytest.mark.parametrize("size", [MOST_EXTRA_TEXT, MOST_EXTRA_TEXT + 1])
def test_the_extra_text_is_whole_up_to_its_bound(size):
    sentence = "abc " * 47
    sentence += "d" * (size - len(sentence) - len(" [x]"))

    assert (extra_text(sentence, "x") == f"{sentence} [x]") == (size == MOST_EXTRA_TEXT)
