"""Names against dnspython: reading, order, text; truncation at every byte; bounds at n and n + 1."""

from __future__ import annotations

import dns.exception
import dns.name
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ddns.dns import names
from ddns.dns.codes import MAX_POINTER_HOPS
from ddns.dns.names import BadName

LABEL = st.binary(min_size=1, max_size=63)
# Letters and zeros often, so that cases and orders meet.
CLOSE_LABEL = st.lists(
    st.sampled_from([b"a", b"A", b"b", b"\0", b"\1", b"*", b"\xff", b"."]), min_size=1, max_size=3
).map(b"".join)


def wire_of(labels: list[bytes]) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


WIRE = st.lists(LABEL | CLOSE_LABEL, max_size=8).map(wire_of).filter(lambda wire: len(wire) <= 255)
CLOSE = st.lists(CLOSE_LABEL, max_size=4).map(wire_of)
NAME = WIRE.map(bytes.lower)
CLOSE_NAME = CLOSE.map(bytes.lower)


def theirs(name: bytes) -> dns.name.Name:
    return dns.name.from_wire(name, 0)[0]


@given(WIRE)
def test_reading_lowers_and_agrees_with_dnspython(wire):
    """The name in lower case, and the offset behind it."""
    name, end = names.read(b"??" + wire + b"!!", 2)

    expected, used = dns.name.from_wire(wire, 0)
    assert name == expected.canonicalize().to_wire()
    assert end == 2 + used
    assert names.skip(b"??" + wire + b"!!", 2) == end


@given(st.binary(max_size=80), st.integers(min_value=0, max_value=80))
@example(b"\xc0\x00", 0)
@example(b"\x01a\xc0\x00\xc0\x02", 4)
@example(b"\x00\xc0\x00\xc0\x01\xc0\x03", 5)
def test_any_octets_are_read_as_dnspython_reads_them(wire, offset):
    """Noise with pointers: the same name, or both refuse."""
    try:
        expected = dns.name.from_wire(wire, offset) if offset <= len(wire) else None
    except dns.exception.DNSException:
        expected = None
    try:
        read = names.read(wire, offset)
    except BadName:
        read = None

    if expected is None:
        assert read is None
    else:
        assert read == (expected[0].canonicalize().to_wire(), offset + expected[1])


@given(WIRE)
def test_truncation_at_every_byte_is_refused(wire):
    """No prefix of a name is a name."""
    for size in range(len(wire)):
        with pytest.raises(BadName):
            names.read(wire[:size], 0)
        with pytest.raises(BadName):
            names.skip(wire[:size], 0)


def test_a_pointer_is_followed():
    """The end is behind the pointer, wherever that leads."""
    wire = b"\x07example\x00\x03cam\xc0\x00"

    assert names.read(wire, 9) == (b"\x03cam\x07example\x00", len(wire))
    assert names.skip(wire, 9) == len(wire)


@pytest.mark.parametrize("wire", [b"\xc0\x00", b"\xc0\x02\x00", b"\x01a\xc0\x00", b"\xc0\x04\xc0\x02\xc0\x00", b"\xc0"])
def test_pointers_point_strictly_backwards(wire):
    """To itself, into its own name, forwards, or cut: refused (RFC 9267 §2)."""
    with pytest.raises(BadName):
        names.read(wire, 0)


def test_a_pointer_leads_to_a_whole_name_before_it():
    """Labels that run into the piece with the pointer are no prior occurrence (RFC 1035 §4.1.4)."""
    with pytest.raises(BadName):
        names.read(b"\x02\x02\x02\x02\x02a\xc0\0", 2)
    assert names.read(b"\x01a\0\x01b\xc0\0", 3) == (b"\x01b\x01a\0", 7)


def test_pointer_hops_are_bounded():
    """At the limit read, one above refused."""
    chain = b"\0" + b"".join((0xC000 | max(0, 2 * at - 1)).to_bytes(2, "big") for at in range(MAX_POINTER_HOPS + 1))

    assert names.read(chain, 1 + 2 * (MAX_POINTER_HOPS - 1))[0] == names.ROOT
    with pytest.raises(BadName, match="too many"):
        names.read(chain, 1 + 2 * MAX_POINTER_HOPS)


@pytest.mark.parametrize("octet", [0x40, 0x7F, 0x80, 0xBF])
def test_reserved_label_types_are_refused(octet):
    """01 and 10 (RFC 1035 §4.1.4)."""
    for function in (names.read, names.skip):
        with pytest.raises(BadName, match="reserved"):
            function(bytes((octet,)) + bytes(300), 0)


def test_a_name_has_255_octets_at_most():
    """The limit is read, one more is not, compressed or not."""
    longest = wire_of([b"a" * 63] * 3 + [b"a" * 61])
    assert len(longest) == 255

    assert names.read(longest, 0) == (longest, 255)
    assert names.read(longest[2:] + b"", 0)[0] == longest[2:] if longest[2] < 64 else True
    with pytest.raises(BadName, match="255"):
        names.read(wire_of([b"a" * 63] * 3 + [b"a" * 62]), 0)
    with pytest.raises(BadName, match="255"):
        names.read(longest + b"\x01b\xc0\x00", 255)


@given(st.lists(CLOSE_NAME, max_size=12))
def test_order_keys_sort_like_canonical_names(some):
    """Plain octet order of the keys is the order of RFC 4034 §6.1."""
    assert sorted(some, key=names.order_key) == [
        name.to_wire() for name in sorted(theirs(name) for name in some)
    ]  # fmt: skip


@given(NAME)
def test_order_keys_can_be_read_back(name):
    """The database keeps keys only."""
    assert names.from_order_key(names.order_key(name)) == name


@given(CLOSE_NAME, CLOSE_NAME)
def test_a_subtree_is_a_range_of_keys(name, ancestor):
    """At or below is from the key up to `subtree_end`, and agrees with dnspython."""
    below = theirs(name).is_subdomain(theirs(ancestor))
    key = names.order_key(ancestor)

    assert names.is_subdomain(name, ancestor) is below
    assert (key <= names.order_key(name) < names.subtree_end(key)) is below


def test_a_subdomain_has_whole_labels():
    """A name that only ends with the same octets is none."""
    inside = names.from_text("notsmith.example.")

    assert not names.is_subdomain(inside, names.from_text("smith.example."))
    assert not names.is_subdomain(b"\x0a\x05smith\x00xyz\x00", b"\x05smith\x00")
    assert names.is_subdomain(inside, inside)
    assert names.is_subdomain(inside, names.ROOT)


@given(NAME)
def test_labels_parents_and_ancestors_agree_with_dnspython(name):
    """Taken apart the same way."""
    other = theirs(name)

    assert names.labels(name) == list(other.labels[:-1])
    assert names.count_labels(name) == len(other.labels) - 1
    assert names.parent(name) == (other.parent().to_wire() if name != names.ROOT else names.ROOT)
    assert names.suffixes(name)[0] == name
    assert names.suffixes(name)[-1] == names.ROOT
    assert names.ancestors(name, names.ROOT) == names.suffixes(name)[1:]


def test_ancestors_end_at_the_apex():
    """Nearest first; none above the apex itself."""
    name, apex = names.from_text("a.b.smith.example."), names.from_text("smith.example.")

    assert names.ancestors(name, apex) == [names.from_text("b.smith.example."), apex]
    assert names.ancestors(apex, apex) == []


@given(NAME)
def test_text_is_read_back(name):
    """By us and by dnspython."""
    text = names.to_text(name)

    assert text.isascii()
    assert text.isprintable()
    assert names.from_text(text) == name
    assert dns.name.from_text(text).to_wire() == name


@given(st.text(alphabet='aB1-_*.\\ @0729\t()"é', max_size=20))
def test_text_means_what_dnspython_says(text):
    """Where both read it, they read the same; what we read, it reads."""
    try:
        mine = names.from_text(text, b"\x07example\x00")
    except BadName:
        return
    if text == "@":
        return
    assert mine == dns.name.from_text(text, dns.name.from_text("example.")).canonicalize().to_wire()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (".", b"\0"),
        ("@", b"\x07example\0"),
        ("cam", b"\x03cam\x07example\0"),
        ("CAM.", b"\x03cam\0"),
        (r"a\.b.", b"\x03a.b\0"),
        (r"\097\098.", b"\x02ab\0"),
        (r"\065.", b"\x01a\0"),
        ("*.", b"\x01*\0"),
    ],
)
def test_presentation_form(text, name):
    """Relative names, escapes, case."""
    assert names.from_text(text, b"\x07example\0") == name


@pytest.mark.parametrize(
    "text", ["", "..", ".a", "a..b", r"a\25", r"a\256", r"a\9", "a\\", "ä.example.", "a" * 64, "a." * 128]
)
def test_broken_text_is_refused(text):
    """With a sentence, not with another exception."""
    with pytest.raises(BadName):
        names.from_text(text)


def test_text_bounds():
    """63 octets a label and 255 a name are good."""
    assert names.from_text("a" * 63 + ".") == wire_of([b"a" * 63])
    assert len(names.from_text(".".join(["a" * 63] * 3 + ["a" * 61]) + ".")) == 255
    with pytest.raises(BadName, match="255"):
        names.from_text(".".join(["a" * 63] * 3 + ["a" * 62]) + ".")


@given(NAME, LABEL)
def test_prepending_obeys_the_law(name, label):
    """Lower case, and never above 255 octets."""
    try:
        longer = names.prepend(label, name)
    except BadName:
        assert len(label) + 1 + len(name) > 255
        return
    assert names.labels(longer) == [label.lower(), *names.labels(name)]


@pytest.mark.parametrize("label", [b"", b"a" * 64])
def test_labels_have_1_to_63_octets(label):
    """Others cannot be prepended."""
    with pytest.raises(BadName):
        names.prepend(label, names.ROOT)


def test_wildcards_are_known():
    """Only `*` as the leftmost label."""
    assert names.is_wildcard(names.from_text("*.example."))
    assert not names.is_wildcard(names.from_text("a.*.example."))
    assert not names.is_wildcard(names.from_text("*a.example."))
