"""Labels of homes: what people write, made into the one label that the DNS has, or a refusal that says why not.

Law: pure. A label is good for a registry where it is LDH (RFC 1123 §2.1) or an A-label of IDNA 2008 (RFC 5891 §4),
lies whole in one of its tables, and is not reserved. Whether somebody has it already is not asked here.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from fnmatch import fnmatchcase

import idna
import msgspec

from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.homes.skeletons import skeleton
from ddns.homes.tables import LATIN, Table

MOST = 63  # octets of a label (RFC 1035 §3.1)
_MOST_WRITTEN = 256  # characters that are looked at: IDNA's mapping can only make few of many

# Labels that homes may not have: what people and programs take for the registry's own (RFC 2142, RFC 9665 §3).
RESERVED_LABELS = frozenset({b"www", b"mail", b"ns", b"smtp", b"localhost", b"wpad", b"isatap"})
# Names that mean something to resolvers and are never delegated (RFC 6761 and IANA's registry of special-use names).
SPECIAL_NAMES = tuple(
    names.from_text(text)
    for text in (
        "alt", "home.arpa", "internal", "invalid", "local", "localhost", "onion", "resolver.arpa", "service.arpa",
    )
)  # fmt: skip
_RESERVED = {skeleton(one.decode()): one.decode() for one in RESERVED_LABELS}
_LDH = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


class LabelRules(msgspec.Struct, frozen=True):
    """What a registry asks of labels.

    *least* and *most* bound their length, *least* in characters as people read them and *most* in octets as the DNS
    has them. *reserved* are patterns, `*` for any characters, of either form. *tables* hold the letters beyond ASCII.
    """

    least: int = 1
    most: int = MOST
    reserved: tuple[str, ...] = ()
    tables: tuple[Table, ...] = (LATIN,)


class Label(msgspec.Struct, frozen=True):
    """A label: as the DNS has it, as people read it, and what stands for all that look like it."""

    wire: bytes
    shown: str
    skeleton: str

    @property
    def plain(self) -> bool:
        """Tell whether people read it in ASCII."""
        return self.shown.isascii()


def read(text: str, rules: LabelRules, zone: Name) -> Label | Refusal:
    """Return the label that people write as *text* for a home in the registry's *zone*, by its rules."""
    label = form(text)
    if isinstance(label, Refusal):
        return label
    return _by_tables(text, label, rules) or _by_rules(text, label, rules) or _in_zone(text, label, zone) or label


def form(text: str) -> Label | Refusal:
    """Return the label that people write as *text*, whatever a registry's rules are.

    Capitals and width do not matter (UTS 46 §4). What begins with `xn--` must be an A-label (RFC 5890 §2.3.2.1).
    """
    written = text[:_MOST_WRITTEN]
    if not text or len(text) > _MOST_WRITTEN or "." in text:
        return _wrong(
            written, f"is no label for a home: write 1 to {MOST} letters, digits and inner hyphens, without dots"
        )
    if text.startswith("_"):
        return _wrong(written, "begins with _, which is kept for services (RFC 8552); choose another")
    try:
        mapped = text.lower() if text.isascii() else idna.uts46_remap(text, std3_rules=True, transitional=False)
        if mapped.startswith("xn--"):
            return _from_a_label(written, mapped)
        if not mapped.isascii():
            if mapped[2:4] == "--":
                return _wrong(written, "has hyphens in third and fourth place, which only xn-- labels may")
            return Label(idna.alabel(mapped), mapped, skeleton(mapped))
    except idna.IDNABidiError:
        return _wrong(written, "mixes directions of writing as no name may (RFC 5893); write letters of one direction")
    except (idna.IDNAError, UnicodeError) as error:
        return _wrong(written, f"is no label of IDNA 2008 ({_said(error)}); choose other characters")
    if len(mapped) > MOST or not _LDH.fullmatch(mapped):
        return _wrong(written, f"is no label for a home: write 1 to {MOST} letters, digits and inner hyphens")
    if mapped[2:4] == "--":
        return _wrong(written, "has hyphens in third and fourth place, which only xn-- labels may")
    return Label(mapped.encode(), mapped, skeleton(mapped))


def _from_a_label(written: str, mapped: str) -> Label | Refusal:
    try:
        shown = idna.ulabel(mapped)
        if idna.alabel(shown) == mapped.encode():
            return Label(mapped.encode(), shown, skeleton(shown))
    except (idna.IDNAError, UnicodeError):
        pass
    return _wrong(written, "is no A-label of a name in another script; encode it anew")


def _by_tables(text: str, label: Label, rules: LabelRules) -> Refusal | None:
    if label.plain or any(all(map(table.holds, label.shown)) for table in rules.tables):
        return None
    for letter in label.shown:
        if not any(table.holds(letter) for table in rules.tables):
            taken = ", ".join(table.name for table in rules.tables) or "ASCII"
            return _wrong(text, f"has the letter U+{ord(letter):04X}, and this registry takes those of {taken}")
    return Refusal(
        "label-mixed-scripts",
        Rcode.REFUSED,
        f"The label {text!r} mixes letters of several scripts; write all of it in one.",
        Ede.PROHIBITED,
    )


def _by_rules(text: str, label: Label, rules: LabelRules) -> Refusal | None:
    if len(label.shown) < rules.least:
        return _wrong(text, f"is shorter than {rules.least} characters, the least that this registry takes")
    if len(label.wire) > rules.most:
        return _wrong(text, f"is longer than {rules.most} octets, the most that this registry takes")
    like = label.shown if label.wire in RESERVED_LABELS else None if label.plain else _RESERVED.get(label.skeleton)
    if like is not None:
        return Refusal(
            "label-special",
            Rcode.REFUSED,
            f"The label {text!r} is reserved or looks like one that is, {like}; choose another.",
            Ede.PROHIBITED,
        )
    forms = (label.wire.decode(), label.shown)
    if any(fnmatchcase(one, pattern) for pattern in rules.reserved for one in forms):
        return unavailable()
    return None


def _in_zone(text: str, label: Label, zone: Name) -> Refusal | None:
    """Refuse a name below a special-use name, and one that the Bidi rule refuses as a whole (RFC 5893 §2)."""
    special, above = _of_zone(zone)
    if special is not None:
        return Refusal(
            "label-special",
            Rcode.REFUSED,
            f"{text}.{names.to_text(zone)} is below {names.to_text(special)}, a special-use name that the public "
            "DNS never answers for; give homes names below a domain of your own.",
            Ede.PROHIBITED,
        )
    try:
        if any(_is_rtl(one) for one in (label.shown, *above)):
            for one in (label.shown, *above):
                idna.check_bidi(one, check_ltr=True)
    except idna.IDNAError:
        return _wrong(text, f"and {names.to_text(zone)} do not go together in two directions of writing (RFC 5893)")
    return None


@functools.lru_cache(maxsize=64)
def _of_zone(zone: Name) -> tuple[Name | None, tuple[str, ...]]:
    """Return the special-use name that *zone* is below, if it is, and its labels as people read them."""
    special = next((one for one in SPECIAL_NAMES if names.is_subdomain(zone, one)), None)
    return special, tuple(one for one in map(_shown, names.labels(zone)) if one)


def _is_rtl(label: str) -> bool:
    return not label.isascii() and any(unicodedata.bidirectional(one) in ("R", "AL", "AN") for one in label)


def _shown(label: bytes) -> str:
    """Return how people read a label that is there; nothing where it is no A-label."""
    text = label.decode("latin-1")
    if _LDH.fullmatch(text) and text[2:4] != "--":
        return text  # it is plain, as hundreds of thousands of an import are: what IDNA would say of it is this
    try:
        return idna.ulabel(label)
    except (idna.IDNAError, UnicodeError):
        return ""


def looks(home: Name) -> tuple[str, str]:
    """Return how people read the label of the name *home*, and what stands for all that look like it."""
    label = home[1 : 1 + home[0]]
    shown = _shown(label) or label.decode("latin-1")
    return shown, skeleton(shown)


def unavailable() -> Refusal:
    """Return the one refusal of a label that is taken, kept, resting, invited or too like another one.

    It does not say which: nobody is to learn what there is by asking for it.
    """
    return Refusal(
        "label-unavailable",
        Rcode.REFUSED,
        "This name cannot be had; choose another.",
        Ede.PROHIBITED,
    )


def clash(label: Label, other: str) -> bool:
    """Tell whether people may take *label* for *other*, a different label as people read it, of the same registry.

    Only where either has a letter beyond ASCII: that `rn` looks like `m` is as old as the DNS.
    """
    return not (label.plain and other.isascii()) and label.shown != other and skeleton(other) == label.skeleton


def _wrong(text: str, why: str) -> Refusal:
    return Refusal("label-not-allowed", Rcode.REFUSED, f"The label {text!r} {why}.", Ede.PROHIBITED)


def _said(error: Exception) -> str:
    said = str(error).strip().rstrip(".")
    return said[:1].lower() + said[1:100] if said else "it cannot be encoded"
