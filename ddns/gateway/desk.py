"""The registry's desk, spoken to by HTTPS: one request, one answer, bounded, with nobody but the registry.

Law: the server is believed by the key that its TLSA records name (DANE-EE, RFC 7671 §5.1), or by a certificate that a
given file vouches for, or by one of this machine's own authorities, in this order; nothing is sent before. A redirect
is no answer: nobody is sent elsewhere with what was meant for the registry.
"""

from __future__ import annotations

import email.utils
import hashlib
import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ddns.dns import localhost
from ddns.gateway.client import Unreachable
from ddns.gateway.reply import Unproved

MOST = 1024 * 1024  # octets of an answer
WAIT = 30.0  # seconds that a request takes at most, if the caller does not say otherwise
LONGEST_PAUSE = 86_400  # seconds; a registry that says more is asked again after a day
_PROBLEM = "application/problem+json"

Shows = tuple[Path, Path]  # the files of a certificate (PEM, its chain behind it) and of its private key
_Result = TypeVar("_Result")


class Desk(msgspec.Struct, frozen=True):
    """Where statements go: connect to *host* and *port*, ask for *name*, believe who has one of *pins*.

    A pin is the SHA-256 of a public key, in hex. Without pins a certificate for *name* is believed that the file
    *cafile* vouches for, or, without that, one of this machine's authorities.
    """

    host: str
    port: int = 443
    name: str = ""
    pins: tuple[str, ...] = ()
    cafile: str = ""

    @property
    def said(self) -> str:
        """Return how people write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{self.name or host}:{self.port}"


class Said(msgspec.Struct, frozen=True):
    """An answer: its *status*, *media* type and *octets*.

    *retry_after* is how many seconds it asks to wait, 0: it does not say. *at* is the server's time, in seconds since
    1970, where it says that. *code* and *sentence* are those of a problem (RFC 9457).
    """

    status: int
    media: str = ""
    octets: bytes = b""
    retry_after: int = 0
    at: int | None = None
    code: str = ""
    sentence: str = ""

    @property
    def members(self) -> dict[str, Any]:
        """Return the members of the JSON object that was answered; none where it is no object."""
        try:
            return msgspec.json.decode(self.octets, type=dict[str, Any])
        except msgspec.DecodeError:
            return {}


def ask(
    desk: Desk,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    wait: float = WAIT,
    shows: Shows | None = None,
) -> Said | Unproved | Unreachable:
    """Send one request to *desk* and return its answer, within *wait* seconds; it is shown the certificate *shows*."""
    end = time.monotonic() + wait

    def work(sock: ssl.SSLSocket) -> Said | Unproved | Unreachable:
        if desk.pins and not _is_pinned(sock, desk.pins):
            return Unproved("its key is not the one that the registry has published")
        return _exchange(_Deadline(sock, end), desk, method, path, body, dict(headers or {}))

    return _spoken(desk, _context(desk, shows), end, work)


def certificates_at(host: str, port: int, *, wait: float = WAIT) -> tuple[x509.Certificate, ...] | Unreachable:
    """Return the certificate that the server at *host* shows, and where Python can tell (3.13) those that came along.

    Nobody has judged them, and nothing was sent.
    """

    def work(sock: ssl.SSLSocket) -> tuple[x509.Certificate, ...] | Unreachable:
        told = getattr(sock, "get_unverified_chain", None)
        shown = list(told() if told else ()) or [sock.getpeercert(binary_form=True) or b""]
        try:
            return tuple(map(x509.load_der_x509_certificate, shown))
        except ValueError:
            return Unreachable("its certificate cannot be read")

    place = Desk(host, port)
    context = _context(place)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    found = _spoken(place, context, time.monotonic() + wait, work)
    return Unreachable(found.reason) if isinstance(found, Unproved) else found


def _spoken(
    desk: Desk, context: ssl.SSLContext, end: float, work: Callable[[ssl.SSLSocket], _Result]
) -> _Result | Unproved | Unreachable:
    """Return what *work* makes of a connection to *desk* over TLS: the first of its addresses where it is the one."""
    try:
        places = socket.getaddrinfo(localhost.asked_for(desk.host), desk.port, type=socket.SOCK_STREAM)
    except OSError as error:
        return Unreachable(f"the name {desk.host} was not found ({error.strerror or error})")
    last: Unproved | Unreachable = Unreachable("it did not answer")
    for family, _, _, _, address in places:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as plain:
                plain.settimeout(_left(end))
                plain.connect(address)
                with context.wrap_socket(plain, server_hostname=desk.name or desk.host) as sock:
                    found = work(sock)
                    if not isinstance(found, Unproved):
                        return found
                    last = found
        except ssl.SSLCertVerificationError as error:
            last = Unproved(f"its certificate is not believed ({error.verify_message.rstrip('.')})")
        except ssl.SSLError as error:
            last = Unreachable(f"TLS failed ({(error.reason or 'no reason given').lower()})")
        except TimeoutError:
            return last if isinstance(last, Unproved) else Unreachable("it did not answer in time")
        except OSError as error:
            last = last if isinstance(last, Unproved) else Unreachable((error.strerror or "no answer").lower())
        except (http.client.HTTPException, ValueError):
            last = Unreachable("what it answered is no HTTP")
    return last


def read_cafile(path: Path) -> str:
    """Return the certificates of the file *path* as `Desk.cafile` has them. Raises `OSError` and `ValueError`."""
    text = path.read_text("ascii")
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    return text


def believing(host: str, port: int, name: str, cafile: str) -> Desk:
    """Return the desk that is known by the certificates *cafile*: those of authorities, or its very own.

    A certificate that is no authority's stands for its key, whatever it is called and until when it is.
    """
    found = x509.load_pem_x509_certificates(cafile.encode()) if cafile else []
    own = tuple(sorted({_digest(one) for one in found if not _is_authority(one)}))
    return Desk(host, port, name, own, "" if own else cafile)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _digest(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _context(desk: Desk, shows: Shows | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    if desk.pins:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # names and dates prove nothing beside the key (RFC 7671 §5.1)
    elif desk.cafile:
        context.load_verify_locations(cadata=desk.cafile)
    else:
        context.load_default_certs()
    if shows is not None:
        context.load_cert_chain(*shows)
    return context


def _is_pinned(sock: ssl.SSLSocket, pins: tuple[str, ...]) -> bool:
    octets = sock.getpeercert(binary_form=True)
    if octets is None:
        return False
    try:
        return _digest(x509.load_der_x509_certificate(octets)) in pins
    except (ValueError, UnsupportedAlgorithm):
        return False


class _Deadline:
    """A socket as `http.client` wants it, on which reading and writing together end in time."""

    def __init__(self, sock: ssl.SSLSocket, end: float) -> None:
        self._sock, self._end = sock, end

    def sendall(self, octets: bytes) -> None:
        """Send all *octets*. Raises `TimeoutError`."""
        self._sock.settimeout(_left(self._end))
        self._sock.sendall(octets)

    def makefile(self, mode: Literal["rb"]) -> io.BufferedReader:
        """Return the socket as a file to read from; each read waits for what is left of the time at most."""
        self._sock.settimeout(_left(self._end))
        return self._sock.makefile(mode)

    def remind(self) -> None:
        """Have the next read wait no longer than there is time. Raises `TimeoutError`."""
        self._sock.settimeout(_left(self._end))


def _exchange(
    sock: _Deadline, desk: Desk, method: str, path: str, body: bytes, headers: dict[str, str]
) -> Said | Unreachable:
    host = f"[{desk.host}]" if ":" in desk.host else desk.host
    lines = {
        "Host": f"{desk.name or host}:{desk.port}",
        "Accept": "application/json",
        **headers,
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    if any(mark in f"{method} {path} {name}{value}" for name, value in lines.items() for mark in "\r\n"):
        raise ValueError("a line has an end of line in it")
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    sock.sendall(head.encode("ascii") + b"\r\n" + body)
    response = http.client.HTTPResponse(sock, method=method)  # type: ignore[arg-type]  # all that it uses is there
    try:
        response.begin()
        octets = b""
        while len(octets) <= MOST:
            sock.remind()
            piece = response.read1(65_536)
            if not piece:
                break
            octets += piece
    finally:
        response.close()
    if len(octets) > MOST:
        return Unreachable(f"its answer is longer than {MOST} octets")
    media = response.headers.get_content_type()
    code, sentence = problem(octets) if media == _PROBLEM else ("", "")
    after, at = response.headers.get("Retry-After", ""), response.headers.get("Date", "")
    return Said(response.status, media, octets, _pause(after), _moment(at), code, sentence)


def problem(octets: bytes) -> tuple[str, str]:
    """Return code and sentence of a problem (RFC 9457 §3)."""
    try:
        members = msgspec.json.decode(octets, type=dict[str, Any])
    except msgspec.DecodeError:
        return "", ""
    code, sentence = members.get("code", ""), members.get("detail", "")
    return str(code)[:80], "".join(one for one in str(sentence)[:400] if one.isprintable())


def _pause(text: str) -> int:
    """Return the seconds that `Retry-After` says (RFC 9110 §10.2.3: digits; a date is not taken here)."""
    return min(int(text), LONGEST_PAUSE) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _moment(text: str) -> int | None:
    """Return the time that `Date` says, in seconds since 1970."""
    try:
        return int(email.utils.parsedate_to_datetime(text).timestamp())
    except (TypeError, ValueError, OverflowError):
        return None


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
