"""RFC 6761 §6.3: the name localhost needs no resolver."""

import pytest

from ddns.dns.localhost import LOOPBACK, asked_for


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "localhost.", "desk.localhost", "a.b.LOCALHOST."])
def test_localhost_and_what_is_below_it_is_this_host(host):
    assert asked_for(host) == LOOPBACK


@pytest.mark.parametrize("host", ["localhost.example", "notlocalhost", "192.0.2.1", "::1", ""])
def test_every_other_name_is_asked_for_as_it_is(host):
    assert asked_for(host) == host
