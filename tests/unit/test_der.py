"""DER (X.690 §10): each form that BER allows and DER does not is refused, at its border; what is written is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddns.proof import der
from ddns.proof.der import BadDer


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        ("", "cut off"),
        ("30", "cut off"),
        ("3001", "cut off"),
        ("30800000", "indefinite"),
        ("308101ff", "shortest"),
        ("30820001ff", "shortest"),
        ("3082008000", "shortest"),
        ("308400000001ff", "too great"),
        ("0500ff", "behind the end"),
        ("1f8100", "above 30"),
        ("bf01", "above 30"),
    ],
)
def test_what_is_not_der_is_refused_by_name(octets, why):
    with pytest.raises(BadDer, match=why):
        der.read(bytes.fromhex(octets))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_000])
def test_a_length_is_written_in_its_shortest_form_and_read_again(size):
    found = der.read(der.octet_string(bytes(size)))

    assert (found.tag, len(found.body)) == (der.OCTET_STRING, size)


def test_more_octets_than_the_bound_are_not_looked_at():
    fitting = der.octet_string(bytes(der.MOST - 4))

    assert len(fitting) == der.MOST
    assert der.read(fitting).body == bytes(der.MOST - 4)
    with pytest.raises(BadDer, match="more than"):
        der.read(der.octet_string(bytes(der.MOST - 3)))


def test_parts_are_counted():
    assert len(der.read(der.sequence(*[b"\5\0"] * der.MOST_CHILDREN)).children()) == der.MOST_CHILDREN
    with pytest.raises(BadDer, match="parts"):
        der.read(der.sequence(*[b"\5\0"] * (der.MOST_CHILDREN + 1))).children()


def test_a_primitive_value_has_no_parts():
    with pytest.raises(BadDer, match="no parts"):
        der.read(der.octet_string(b"\5\0")).children()


@pytest.mark.parametrize("dotted", ["1.2.840.113549.1.9.16.1.40", "2.5.4.5", "0.9.2342.19200300.100.1.1", "2.999.3"])
def test_object_identifiers_come_back(dotted):
    assert der.read_oid(der.read(der.oid(dotted))) == dotted


@pytest.mark.parametrize("octets", ["0600", "06020180", "0603558001"])
def test_object_identifiers_that_are_cut_or_too_long_are_refused(octets):
    with pytest.raises(BadDer, match="object identifier"):
        der.read_oid(der.read(bytes.fromhex(octets)))


@given(st.integers(-(2**200), 2**200))
def test_integers_come_back(number):
    assert der.read_integer(der.read(der.integer(number))) == number


@pytest.mark.parametrize("octets", ["0200", "02020001", "0202ff80"])
def test_integers_in_another_form_are_refused(octets):
    with pytest.raises(BadDer, match="integer"):
        der.read_integer(der.read(bytes.fromhex(octets)))


def test_times_change_their_form_in_2050():
    assert der.time(2_524_607_999) == b"\x17\x0d491231235959Z"
    assert der.time(2_524_608_000) == b"\x18\x0f20500101000000Z"


def test_sets_are_written_in_the_order_of_their_octets():
    assert der.set_of(b"\2\1\2", b"\2\1\1") == b"\x31\x06\2\1\1\2\1\2"


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(octets):
    try:
        found = der.read(octets)
    except BadDer:
        return

    assert der.value(found.tag, found.body) == octets
