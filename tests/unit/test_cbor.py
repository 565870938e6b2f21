"""CBOR: the examples of RFC 8949 appendix A, an independent library both ways; what has two readings is refused."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddns.proof import cbor
from ddns.proof.cbor import BadCbor, Tag

EXAMPLES = [  # RFC 8949 appendix A, those that are taken here
    ("00", 0), ("17", 23), ("1818", 24), ("1864", 100), ("1903e8", 1000), ("1a000f4240", 1000000),
    ("1b000000e8d4a51000", 1000000000000), ("1bffffffffffffffff", 18446744073709551615), ("20", -1), ("3863", -100),
    ("3bffffffffffffffff", -18446744073709551616), ("f90000", 0.0), ("f93c00", 1.0), ("fb3ff199999999999a", 1.1),
    ("fa47c35000", 100000.0), ("f4", False), ("f5", True), ("f6", None), ("40", b""), ("4401020304", b"\1\2\3\4"),
    ("60", ""), ("6449455446", "IETF"), ("62c3bc", "ü"), ("64f0908591", "\U00010151"), ("80", []),
    ("83010203", [1, 2, 3]),
    ("8301820203820405", [1, [2, 3], [4, 5]]), ("a0", {}), ("a201020304", {1: 2, 3: 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
]  # fmt: skip


@pytest.mark.parametrize(("octets", "value"), EXAMPLES, ids=[one[0] for one in EXAMPLES])
def test_the_examples_of_the_standard_are_read(octets, value):
    assert cbor.read(bytes.fromhex(octets)) == value


@pytest.mark.parametrize(
    ("octets", "value"), [one for one in EXAMPLES if not isinstance(one[1], float)], ids=lambda one: str(one)[:20]
)
def test_the_examples_of_the_standard_are_written(octets, value):
    assert cbor.write(value).hex() == octets


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        ("", "cut off"),
        ("1818ff", "behind the end"),
        ("1817", "shortest"),
        ("1900ff", "shortest"),
        ("1a0000ffff", "shortest"),
        ("1b00000000ffffffff", "shortest"),
        ("9f01ff", "indefinite"),
        ("5f4101ff", "indefinite"),
        ("1c", "reserved"),
        ("ff", "break"),
        ("f818", "simple"),
        ("e0", "simple"),
        ("a201020103", "twice"),
        ("a1f501", "key"),
        ("a18001", "key"),
        ("61ff", "UTF-8"),
        ("42ff", "cut off"),
        ("9bffffffffffffffff", "cut off"),
        ("c000", "tag 0"),
        ("d9d9f700", "tag 55799"),
    ],
)
def test_what_has_another_reading_is_refused_by_name(octets, why):
    with pytest.raises(BadCbor, match=why):
        cbor.read(bytes.fromhex(octets))


def test_a_key_twice_is_found_in_another_spelling_too():
    with pytest.raises(BadCbor):  # 1 and 1 in two octets: the longer is no number here
        cbor.read(bytes.fromhex("a20102180103"))


@pytest.mark.parametrize("depth", [cbor.DEEPEST, cbor.DEEPEST + 1])
def test_too_deep(depth):
    octets = b"\x81" * depth + b"\x00"

    if depth == cbor.DEEPEST:
        assert cbor.read(octets)
    else:
        with pytest.raises(BadCbor, match="deeper"):
            cbor.read(octets)


@pytest.mark.parametrize("count", [cbor.MOST_ITEMS - 1, cbor.MOST_ITEMS])
def test_values_are_counted(count):
    octets = b"\x99" + count.to_bytes(2, "big") + b"\x00" * count

    if count < cbor.MOST_ITEMS:
        assert len(cbor.read(octets)) == count
    else:
        with pytest.raises(BadCbor, match="more than"):
            cbor.read(octets)


def test_octets_are_counted():
    with pytest.raises(BadCbor, match="more than"):
        cbor.read(b"\x5a\x00\x00\xff\xfd" + bytes(cbor.MOST - 4))


def test_tags_that_are_known_come_back():
    assert cbor.read(cbor.write(Tag(cbor.CWT, Tag(cbor.SIGN1, [1])))) == Tag(cbor.CWT, Tag(cbor.SIGN1, [1]))


@pytest.mark.parametrize("value", [1.5, object(), {1, 2}, 2**64])
def test_what_is_not_written_is_said(value):
    with pytest.raises(TypeError):
        cbor.write(value)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.integers(-300, 300) | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(plain)
def test_an_independent_library_reads_what_we_write_and_writes_it_like_us(value):
    octets = cbor.write(value)

    assert cbor2.loads(octets) == value
    assert cbor.read(octets) == value
    assert len(cbor2.dumps(value, canonical=True)) == len(octets)  # it sorts keys by length first (RFC 7049 §3.9)


@given(st.binary(max_size=60))
def test_any_octets_are_refused_or_mean_what_another_library_says(octets):
    try:
        found = cbor.read(octets)
    except BadCbor:
        return

    if b"\xd2" not in octets and b"\xd8" not in octets and found == found:  # noqa: PLR0124 - NaN
        assert repr(cbor2.loads(octets)).replace("undefined", "None") == repr(found)
