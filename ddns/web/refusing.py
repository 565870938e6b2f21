"""The refusals that any request to the API may meet. What is about one subject stands with that subject."""

from __future__ import annotations

from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal

_SHOWN = 80  # characters of what a client sent that a sentence repeats


def request_malformed() -> Refusal:
    """Refuse what is no HTTP/1.1 request."""
    return Refusal(
        "request-malformed", Rcode.FORMERR, "This is no request that HTTP/1.1 knows; mend its first line or headers."
    )


def not_found() -> Refusal:
    """Refuse what is not there, or is another's: nobody can tell which."""
    return Refusal("not-found", Rcode.NXDOMAIN, "There is no such thing here; check the address and whose token it is.")


def method_unknown(methods: str) -> Refusal:
    """Refuse a method that this path does not have."""
    return Refusal("method-unknown", Rcode.NOTIMP, f"This path does not know that method; send one of {methods}.")


def body_too_large(most: int) -> Refusal:
    """Refuse a body that is longer than its path takes."""
    return Refusal("body-too-large", Rcode.FORMERR, f"The body may have {most} octets at most; send less.")


def media_type(wanted: str) -> Refusal:
    """Refuse a body of another type than its path takes."""
    return Refusal("media-type", Rcode.FORMERR, f"Send the body as {wanted}.")


def not_acceptable(given: str) -> Refusal:
    """Refuse to answer in a form that this path does not have."""
    return Refusal("not-acceptable", Rcode.NOTIMP, f"This path answers as {given}; ask for that in Accept.")


def body_malformed(why: str) -> Refusal:
    """Refuse a body that cannot be read at all."""
    return Refusal("body-malformed", Rcode.FORMERR, f"The body cannot be read: {_short(why)}.")


def field_unknown(why: str) -> Refusal:
    """Refuse a field that this path does not know."""
    return Refusal("field-unknown", Rcode.FORMERR, f"Leave out what is not known here: {_short(why)}.")


def field_wrong(why: str) -> Refusal:
    """Refuse a field with a value that it cannot have."""
    return Refusal("field-wrong", Rcode.FORMERR, f"Mend the field: {_short(why)}.")


def token_missing() -> Refusal:
    """Ask for a token."""
    return Refusal("token-missing", Rcode.NOTAUTH, "Send your token as `Authorization: Bearer np1.…`.", Ede.PROHIBITED)


def token_unknown() -> Refusal:
    """Refuse a token that nobody has given, or that was revoked."""
    return Refusal("token-unknown", Rcode.NOTAUTH, "This token is not known here; ask for a new one.", Ede.PROHIBITED)


def token_expired() -> Refusal:
    """Refuse a token that is over."""
    return Refusal("token-expired", Rcode.NOTAUTH, "This token has expired; ask for a new one.", Ede.PROHIBITED)


def token_elsewhere() -> Refusal:
    """Refuse a token that is used from a network that it is not for."""
    return Refusal(
        "token-elsewhere", Rcode.REFUSED, "This token may not be used from this address; use it where it is for.",
        Ede.PROHIBITED,
    )  # fmt: skip


def right_missing(right: str) -> Refusal:
    """Refuse a token that lacks a right."""
    return Refusal(
        "right-missing", Rcode.REFUSED, f"This needs the right {right}, which your token lacks; ask for it.",
        Ede.PROHIBITED,
    )  # fmt: skip


def too_many_requests() -> Refusal:
    """Refuse who asks too often."""
    return Refusal("too-many-requests", Rcode.REFUSED, "You ask too often; wait as long as Retry-After says.")


def desk_busy() -> Refusal:
    """Refuse for want of room."""
    return Refusal("desk-busy", Rcode.SERVFAIL, "Too many requests wait here just now; ask again after Retry-After.")


def too_slow() -> Refusal:
    """Give up what takes too long."""
    return Refusal("too-slow", Rcode.SERVFAIL, "This took too long and was given up; ask again after Retry-After.")


def out_of_reach() -> Refusal:
    """Say that the database is away."""
    return Refusal(
        "database-away", Rcode.SERVFAIL, "The registry cannot keep anything just now; ask again in a while.",
        Ede.NOT_READY,
    )  # fmt: skip


def cannot_be_done(sentence: str) -> Refusal:
    """Refuse what an operator asked for and cannot have; *sentence* says why, as on the command line."""
    return Refusal("cannot-be-done", Rcode.REFUSED, sentence)


def idempotency_key_reused() -> Refusal:
    """Refuse a key that came with another request before."""
    return Refusal(
        "idempotency-key-reused", Rcode.REFUSED, "This Idempotency-Key came with another request; choose a fresh one."
    )


def policy_changed() -> Refusal:
    """Refuse to change what somebody else has changed since it was read."""
    return Refusal(
        "policy-changed-meanwhile", Rcode.REFUSED,
        "The policy was changed since you read it; read it again, and send its ETag in If-Match.",
    )  # fmt: skip


def cursor_wrong() -> Refusal:
    """Refuse a cursor that we have not given for this list."""
    return Refusal("cursor-wrong", Rcode.FORMERR, "This `after` is not from this list; begin again without it.")


def our_fault() -> Refusal:
    """Say that something is broken on our side; the log has the rest."""
    return Refusal(
        "our-fault", Rcode.SERVFAIL, "Something is broken here and was written down; tell whoever runs this registry."
    )


def _short(text: str) -> str:
    text = " ".join("".join(one if one.isprintable() else "?" for one in text).split()).rstrip(".")
    return text if len(text) <= _SHOWN * 2 else f"{text[: _SHOWN * 2]}\N{HORIZONTAL ELLIPSIS}"
