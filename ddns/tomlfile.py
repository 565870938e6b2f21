"""TOML files read into frozen types: what is wrong in one is one sentence with the place and the cure."""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import Any, TypeVar, get_type_hints

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

_KINDS = {
    "array": "a list", "bool": "true or false", "float": "a number", "int": "a whole number", "object": "a table",
    "str": "text in quotes",
}  # fmt: skip


class BadToml(ValueError):
    """A file that is no TOML, or not what its type asks for; the message is one sentence that names the file."""


def parse(octets: bytes, filename: str, kind: type[T]) -> T:
    """Return what the TOML *octets* of *filename* say, as the type *kind*. Raises `BadToml`."""
    try:
        tables = tomllib.loads(octets.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadToml(f"{filename} is not TOML: {error or 'too deep'}") from None
    try:
        return msgspec.convert(tables, kind)
    except msgspec.ValidationError as error:
        raise BadToml(f"{filename}: {_explain(error, kind)}") from None


def _explain(error: msgspec.ValidationError, root: type[msgspec.Struct]) -> str:
    """Return one sentence for a value that the type *root* does not allow."""
    text, _, path = str(error).partition(" - at `$")
    steps = re.findall(r"\.([A-Za-z0-9_]+)|\[(\d+|\.\.\.)\]", path.rstrip("`"))
    unknown = re.search(r"unknown field `(.*)`", text)
    if unknown:
        kind: Any = root
        for name, _index in steps:
            kind = _inner(get_type_hints(kind)[name]) if name else kind
        known = list(kind.__struct_fields__)
        near = difflib.get_close_matches(unknown[1], known, 1)
        cure = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        return f"{_where(steps)}there is no setting {unknown[1]}; {cure}"
    missing = re.search(r"missing required field `(.*)`", text)
    if missing:
        return f"{_where(steps)}{missing[1]} is missing; write it"
    wanted = re.sub("`([a-z]+)`", lambda match: _KINDS.get(match[1], match[1]), text.removeprefix("Expected "))
    return f"{_where(steps)}expected {wanted.replace('`', '')}"


def _where(steps: list[tuple[str, str]]) -> str:
    """Return the place that a validation error names, as it stands in the file: `[serve] listen: `."""
    words: list[str] = []
    for name, index in steps:
        if index and words and index.isdigit():
            words[-1] += f" number {int(index) + 1}"
        elif name:
            words.append(f"[{name}]" if not words else name)
    return " ".join(words) + ": " if words else ""


def _inner(kind: Any) -> Any:
    """Return the struct that stands in an annotation such as `tuple[Key, ...]`, or None."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return next((found for one in getattr(kind, "__args__", ()) if (found := _inner(one)) is not None), None)
