"""What is planned, in words for people: one line for each thing that happens. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from zone_signer.forecast import NEW, Planned
from zone_signer.keyview import KeyView

# By the action of a `Planned`; what settles by itself says so, and needs no reason.
_SETTLES = {
    "ready": "every cache has {key}",
    "remove": "no cache has {key} any more; its private half is destroyed",
    "signatures everywhere of": "every cache has the signatures of {key}",
    "signatures nowhere of": "no cache has signatures of {key} any more",
    "DS everywhere of": "every cache has the DS of {key}",
    "DS nowhere of": "no cache has the DS of {key} any more",
}
_DONE = {
    "make": "make {key}",
    "publish": "publish {key}",
    "withdraw": "withdraw {key}",
    "sign with": "sign with {key}",
    "stop to sign with": "stop to sign with {key}",
    "give the DS of": "ask for the DS of {key}",
    "take away the DS of": "have the DS of {key} taken away",
}
_HERE = {"give the DS of": "place the DS of {key}", "take away the DS of": "take away the DS of {key}"}


class Told(msgspec.Struct, frozen=True):
    """One thing that will happen, in words.

    *key* is what its key is called: by its *tag*, which one that is not made yet has not. *replaces* is the tag of a
    new key's predecessor.
    """

    planned: Planned
    key: str
    tag: int | None
    replaces: int | None
    line: str


def told(planned: Sequence[Planned], keys: Sequence[KeyView], *, parent_here: bool) -> Iterator[Told]:
    """Yield what is *planned* for a zone of *keys* in words; *parent_here*: its DS is placed by the signer itself."""
    tags = {key.id: key.tag for key in keys}
    made = 0
    for one in planned:
        if one.action in {"sign", "renew"}:
            yield Told(one, "", None, None, f"{one.line}: {one.why}")
            continue
        made += one.action == "make"
        tag = None if one.action == "make" else tags.get(one.key)
        key = f"{NEW}{made}" if one.action == "make" else one.key if tag is None else str(tag)
        phrase = _SETTLES.get(one.action)
        if phrase is not None:
            yield Told(one, key, tag, None, phrase.format(key=f"key {key}"))
            continue
        phrases: Mapping[str, str] = {**_DONE, **(_HERE if parent_here else {})}
        line = phrases.get(one.action, f"{one.action} {{key}}").format(key=f"key {key}")
        kind = f" ({one.role}, algorithm {one.algorithm})" if one.action == "make" else ""
        yield Told(one, key, tag, tags.get(one.key) if one.action == "make" else None, f"{line}{kind}: {one.why}")
