"""Evidence of what holds the gateway's key: whatever the box's maker gives for it is asked, and says it in a token.

The maker's command is run as it is, without a shell. It reads one line of JSON, `{"nonce": …, "jwk": {…}}`, from its
standard input and writes the token (EAT, RFC 9711: a JWT, or a CWT in binary) to its standard output.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import signal
import subprocess
import time
from pathlib import Path

from ddns.gateway.key import GatewayKey
from ddns.proof import b64, jwk
from ddns.proof.statements import Evidence

MOST = 32_768  # octets of a token, ours
FRESH = 540  # seconds for which a nonce is answered; the registry takes it for ten minutes
PATIENCE = 60.0  # seconds for the command; security chips are slow
# Codes with which a registry says that the evidence is to be made anew.
STALE = frozenset({"evidence-nonce-wrong", "nonce-wrong", "evidence-expired", "statement-stale"})


class NoEvidence(Exception):
    """There is no token; the message says why and what to do."""


def take(source: str, nonce: str, key: GatewayKey) -> Evidence:
    """Return the token that *source* gives for *key* and the registry's *nonce*.

    *source* is a file that holds a token, or else a command. Raises `NoEvidence`.
    """
    path = Path(source)
    if path.is_file() and not os.access(path, os.X_OK):
        try:
            with path.open("rb") as file:
                octets = file.read(MOST + 1)
        except OSError as error:
            raise NoEvidence(f"the evidence in {path} cannot be read: {error.strerror}") from None
    else:
        said = json.dumps({"nonce": nonce, "jwk": jwk.members(jwk.of(key.private))}).encode() + b"\n"
        octets = _run(source, said)
    if len(octets) > MOST:
        raise NoEvidence(f"the evidence has more than {MOST} octets; the command is to write the token alone")
    if octets[:1] in {b"e", b"{"}:
        return Evidence("application/eat+jwt", b64.encode(octets.strip()))
    if not octets:
        raise NoEvidence("the command that gives evidence wrote nothing; it is to write a JWT or a CWT")
    return Evidence("application/eat+cwt", b64.encode(octets))


def _run(source: str, said: bytes) -> bytes:
    """Return what the command *source* writes, `MOST` octets and one more at most. Raises `NoEvidence`."""
    try:
        words = shlex.split(source)
    except ValueError as error:
        raise NoEvidence(f"the command that gives evidence cannot be read: {str(error).lower()}") from None
    if not words:
        raise NoEvidence("say which command gives the evidence")
    try:
        process = subprocess.Popen(  # noqa: S603 - the maker's own command, as a list, without a shell
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
    except OSError as error:
        raise NoEvidence(f"the command {words[0]} cannot be run: {error.strerror}") from None
    with process:
        try:
            octets = _spoken(process, said)
            status = process.wait(PATIENCE) if len(octets) <= MOST else 0
        except (TimeoutError, subprocess.TimeoutExpired):
            raise NoEvidence(f"the command {words[0]} took longer than {PATIENCE:.0f} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and whatever it began
    if status:
        raise NoEvidence(f"the command {words[0]} ended with {status}; it said why on its error output")
    return octets


def _spoken(process: subprocess.Popen[bytes], said: bytes) -> bytes:
    """Say *said* to *process* and return what it writes, one octet over `MOST` at most. Raises `TimeoutError`."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # it need not read what it is told
        process.stdin.write(said)
        process.stdin.close()
    end = time.monotonic() + PATIENCE
    octets = b""
    while len(octets) <= MOST:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            raise TimeoutError
        piece = os.read(process.stdout.fileno(), MOST + 1 - len(octets))
        if not piece:
            break
        octets += piece
    return octets
