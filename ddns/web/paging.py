"""Pages of a list: `limit`, and `after`, a cursor that is sealed, so that it says nothing and nobody makes one up.

A cursor holds the order key of the last row of a page, and is good for one list of one tenant.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from ddns.proof import b64
from ddns.proof.bad import BadProof
from ddns.web import refusing
from ddns.web.routes import Asked, Means, Refused

MOST = 500
USUAL = 100

Limit = Annotated[int, msgspec.Meta(ge=1, le=MOST, description="How many to answer with.")]
Cursor = Annotated[
    str, msgspec.Meta(max_length=1024, description="The `next` of the page before; empty: the first page.")
]
Next = Annotated[str, msgspec.Meta(description="Give this as `after` for the next page; empty: this is the last one.")]

_PERSON = b"nameplate-cursor"


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of a list that has no others."""

    limit: Limit = USUAL
    after: Cursor = ""


def opened(means: Means, asked: Asked, what: str) -> bytes | None:
    """Return the order key after which the page of the list *what* begins; None: at the beginning. Raises `Refused`."""
    text = asked.query.after
    if not text:
        return None
    try:
        return _cipher(means).decrypt(b64.decode(text), [_bound(asked, what)])
    except (InvalidTag, BadProof, ValueError):
        raise Refused(refusing.cursor_wrong()) from None


def sealed(means: Means, asked: Asked, what: str, key: bytes) -> str:
    """Return the cursor of a page of the list *what* whose last row has the order key *key*."""
    return b64.encode(_cipher(means).encrypt(key, [_bound(asked, what)]))


def _bound(asked: Asked, what: str) -> bytes:
    return f"{asked.tenant} {asked.who.home} {asked.who.owner} {what}".encode()


def _cipher(means: Means) -> AESSIV:
    return AESSIV(hashlib.blake2b(means.secret, person=_PERSON, digest_size=64).digest())
