"""The API's document and page are those of its table of routes; the table finds what it should."""

import json
import re
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from ddns.dns.refusals import CATALOGUE
from ddns.web import api_page, openapi, statuses
from ddns.web.rights import ACT, EVERY
from ddns.web.routes import Answer, Listener, Route
from ddns.web.table import ROUTES, Table

ROOT = Path(__file__).parents[2]


async def answer(_conn, _means, _asked):
    return Answer()


def route(method, path, **also):
    return Route(
        method=method, path=path, summary="Do.", tag="t", right=None, answers={200: None}, within=answer, **also
    )


def test_the_document_is_the_routes_and_is_valid():
    written = (ROOT / "docs/reference/openapi.json").read_bytes()

    validate(json.loads(written))
    assert written == openapi.octets(ROUTES), "write it anew: python -m ddns.web.openapi > docs/reference/openapi.json"


def test_the_page_is_the_routes():
    written = (ROOT / "docs/reference/api.md").read_text()

    assert written == api_page.page(ROUTES), "write it anew: python -m ddns.web.api_page > docs/reference/api.md"


def test_no_two_operations_have_one_name():
    paths = openapi.document(ROUTES)["paths"]
    found = [one["operationId"] for path in paths.values() for one in path.values()]

    assert len(found) == len(set(found))


def test_every_body_and_query_forbids_what_it_does_not_know():
    for one in ROUTES:
        for given in (one.body, one.query) if one.api else ():  # what RFC 8995 §5.7 tells of leaves the unknown alone
            assert given is None or given.__struct_config__.forbid_unknown_fields, one.path


def test_the_rights_that_routes_ask_for_are_those_that_a_token_can_have():
    assert {one.right for one in ROUTES} - {None} | {ACT} == EVERY


def test_every_code_with_a_status_is_in_the_catalogue():
    assert set(statuses.STATUSES) <= set(CATALOGUE)
    assert all(400 <= status < 600 for status in statuses.STATUSES.values())


def test_a_route_is_found_by_method_listener_and_path_and_words_go_before_values():
    fixed, named, device = (
        route("GET", "/v1/a/b"),
        route("GET", "/v1/a/{x}"),
        route("GET", "/d", listener=Listener.DEVICES),
    )
    table = Table([named, fixed, device, route("POST", "/v1/a/{y}/c", most=5)])

    assert table.find(Listener.PEOPLE, "GET", "/v1/a/b") == (fixed, {})
    assert table.find(Listener.PEOPLE, "GET", "/v1/a/caf%C3%A9") == (named, {"x": "caf\u00e9"})
    assert table.find(Listener.PEOPLE, "GET", "/d") is None
    assert table.find(Listener.DEVICES, "GET", "/d") == (device, {})
    assert table.methods(Listener.PEOPLE, "/v1/a/q") == "GET, HEAD"
    assert table.most(Listener.PEOPLE, "POST", "/v1/a/q/c") == 5


def test_a_path_that_is_written_out_has_its_own_methods_and_no_others():
    table = Table([route("DELETE", "/v1/a/{x}"), route("POST", "/v1/a/b"), route("PUT", "/v1/a/{y}")])

    assert table.methods(Listener.PEOPLE, "/v1/a/b") == "POST"
    assert table.methods(Listener.PEOPLE, "/v1/a/c") == "DELETE, PUT"
    assert table.find(Listener.PEOPLE, "DELETE", "/v1/a/b") is None


@pytest.mark.parametrize(
    "path", ["/v1/a/", "v1/a/b", "/v1/a/b/", "/v1//b", "/v1/a/%ff", "/v1/a/x%2Fy", "/v1/a/%00", ""]
)
def test_odd_paths_are_not_found(path):
    table = Table([route("GET", "/v1/a/{x}")])

    assert table.find(Listener.PEOPLE, "GET", path) is None


def test_a_route_that_is_there_twice_or_has_no_handler_is_no_table():
    with pytest.raises(ValueError, match="twice"):
        Table([route("GET", "/v1/{x}"), route("GET", "/v1/{y}")])
    with pytest.raises(ValueError, match="one handler"):
        Table([Route(method="GET", path="/v1/x", summary="Do.", tag="t", right=None, answers={200: None})])


def test_summaries_are_one_sentence():
    for one in ROUTES:
        assert re.fullmatch(r"[A-Z][^|\n]*\.", one.summary), one.path
