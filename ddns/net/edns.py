"""What a worker is told of EDNS: cookies and their secrets, and what the server says of itself.

Cookie secrets that other servers use too stand in a file of their own, as in NSD: one or two lines of 32
hexadecimal digits, closed to other users.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from ddns.answer.cookies import Cookies
from ddns.answer.options import About, Options
from ddns.dns import names
from ddns.settings import Edns

_SECRET = re.compile("[0-9A-Fa-f]{32}")
_MOST = 2  # RFC 9018 §5: the one in use, and the one before or after it
_LARGEST = 4096  # octets of a file that may hold two secrets


class BadCookieSecrets(ValueError):
    """A file of cookie secrets that cannot be used; the message says why, and never what is in it."""

    exit_status = 1


class EdnsConfig(msgspec.Struct, frozen=True):
    """What one worker is told: whether to use *cookies*, with which fixed *secrets*, and what to say of itself."""

    cookies: bool = True
    secrets: tuple[bytes, ...] = ()
    about: About = About()

    def __repr__(self) -> str:
        return "EdnsConfig(…)"


def configure(chosen: Edns, idle: float) -> EdnsConfig:
    """Return what the settings say; *idle* is how long a silent connection is kept. Raises `BadCookieSecrets`."""
    about = About(
        nsid=chosen.nsid.encode(),
        identity=chosen.identity,
        version=chosen.version,
        report=names.from_text(chosen.report) if chosen.report else b"",
        idle=idle,
    )
    fixed = read_secrets(Path(chosen.cookie_secret_file)) if chosen.cookie_secret_file else ()
    return EdnsConfig(chosen.cookies, fixed, about)


def options(config: EdnsConfig, shared: bytes, clock: Callable[[], float]) -> Options:
    """Return what chooses the options of answers; cookies are made with *shared* where no secrets are fixed."""
    return Options(config.about, Cookies(shared, config.secrets) if config.cookies else None, clock)


def read_secrets(path: Path) -> tuple[bytes, ...]:
    """Return the secrets in the file *path*, the one that makes cookies first. Raises `BadCookieSecrets`."""
    try:
        with path.open("rb") as opened:
            mode = path.stat().st_mode
            text = opened.read(_LARGEST).decode("ascii", "replace")
    except OSError as error:
        raise BadCookieSecrets(f"cookie secrets cannot be read from {path}: {error.strerror}") from None
    if mode & 0o077:
        raise BadCookieSecrets(f"{path} is open to other users: chmod 600 {path}")
    lines = text.split()
    if not 0 < len(lines) <= _MOST or not all(_SECRET.fullmatch(line) for line in lines):
        raise BadCookieSecrets(f"{path} must hold one or two lines of 32 hexadecimal digits")
    return tuple(bytes.fromhex(line) for line in lines)
