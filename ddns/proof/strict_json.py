"""JSON that has one meaning: no member twice, no NaN, UTF-8 alone, bounded (RFC 8259 §4 leaves all that open).

Two readers of `{"act": "object", "act": "release"}` may see two statements under one signature.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

import msgspec

from ddns.proof.bad import BadProof

MOST = 65_536  # octets of one document
DEEPEST = 16  # objects and arrays within one another

_Said = TypeVar("_Said")


def members(octets: bytes, most: int = MOST) -> dict[str, Any]:
    """Return the members of the JSON object in *octets*. Raises `BadProof` for anything else."""
    if len(octets) > most:
        raise BadProof(
            "statement-malformed", f"A JSON text is longer than {most} octets; leave out what is not needed."
        )
    try:
        found = json.loads(octets.decode("utf-8"), object_pairs_hook=_once, parse_constant=_constant)
    except BadProof:
        raise
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise BadProof("statement-malformed", "A text that must be JSON is not; mend the program.") from None
    if not isinstance(found, dict):
        raise BadProof("statement-malformed", "A JSON text must be an object; mend the program.")
    if _deeper(found, DEEPEST):
        raise BadProof("statement-malformed", f"A JSON text is deeper than {DEEPEST} levels; mend the program.")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadProof("statement-malformed", "A JSON object has one member twice; mend the program.")
    return found


def _constant(_: str) -> NoReturn:
    raise BadProof("statement-malformed", "A JSON text holds NaN or Infinity; mend the program.")


def _deeper(value: Any, left: int) -> bool:
    if isinstance(value, dict):
        return left == 0 or any(_deeper(one, left - 1) for one in value.values())
    if isinstance(value, list):
        return left == 0 or any(_deeper(one, left - 1) for one in value)
    return False


def typed(decoder: msgspec.json.Decoder[_Said], payload: bytes) -> _Said:
    """Return the statement in *payload* as *decoder* reads it. Raises `BadProof`, naming a field that is wrong."""
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError as error:
        said = str(error)[:200]
        if "unknown field" in said:
            raise BadProof("field-unknown", f"The statement has a field that its act does not know: {said}.") from None
        raise BadProof("field-wrong", f"A field of the statement is wrong: {said}.") from None
    except (msgspec.DecodeError, RecursionError):
        raise BadProof("statement-malformed", "The statement is not JSON; mend the program.") from None
