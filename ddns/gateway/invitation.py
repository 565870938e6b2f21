"""An invitation as people carry it: one line that holds a one-time key and where to spend it.

    ddns://KEYNAME:SECRET@HOST:PORT/smith.homes.example?alg=hmac-sha256

SECRET is base64url without padding, HOST a name, an IPv4 address or an IPv6 address in brackets. The
registry's zone is the home's name without its first label, unless `&zone=` says otherwise; `&tls=` gives the port
at which the registry wants to be spoken to over TLS, `&web=` where it takes statements by HTTPS: a port, or a name and
a port. A link is the same line behind the `#` of an https address, which no browser sends anywhere. The line is a
secret until it is spent: it has no `repr`.
"""

from __future__ import annotations

import base64
import binascii
import urllib.parse

import msgspec

from ddns.dns import names
from ddns.dns.names import BadName, Name

SCHEME = "ddns"
PORT = 53
ALGORITHM = "hmac-sha256"
ALGORITHMS = ("hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")


class BadInvitation(ValueError):
    """A line that is no invitation; the message says why and never repeats the secret."""


class Invitation(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """The right to put one KEY at *home*, with the TSIG key *key* that proves it, at *host* and *port*."""

    key: Name
    secret: bytes
    home: Name
    host: str
    port: int = PORT
    algorithm: str = ALGORITHM
    registry: Name = b""
    tls: int = 0
    web: tuple[str, int] | None = None  # the TLS name and port for HTTPS; None: by DNS alone

    def __repr__(self) -> str:
        return f"Invitation({names.to_text(self.home)!r})"

    @property
    def zone(self) -> Name:
        """Return the zone that the enrolling UPDATE is for."""
        return self.registry or names.parent(self.home)

    def to_text(self) -> str:
        """Return the line that `from_text` reads."""
        key = urllib.parse.quote(_bare(self.key), safe="")
        secret = base64.urlsafe_b64encode(self.secret).decode().rstrip("=")
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = {"alg": self.algorithm}
        if self.zone != names.parent(self.home):
            query["zone"] = _bare(self.zone)
        if self.tls:
            query["tls"] = str(self.tls)
        if self.web is not None:
            name, web = self.web
            query["web"] = str(web) if name == self.host else f"{name}:{web}"
        home = urllib.parse.quote(_bare(self.home), safe="")
        return f"{SCHEME}://{key}:{secret}@{host}:{self.port}/{home}?{urllib.parse.urlencode(query)}"

    def to_link(self) -> str:
        """Return the link that `from_text` reads, too. Raises `BadInvitation` where there is no HTTPS."""
        if self.web is None:
            raise BadInvitation("a link needs to say where the registry takes statements; give --web")
        name, port = self.web
        host = f"[{name}]" if ":" in name else name
        return f"https://{host}{'' if port == 443 else f':{port}'}/e#{self.to_text()}"

    @classmethod
    def from_text(cls, text: str) -> Invitation:
        """Read the line that the registry gave. Raises `BadInvitation`."""
        text = "".join(text.split())  # mail and terminals break long lines
        link = None
        if text.lower().startswith("https://"):
            page, mark, text = text.partition("#")
            link = _place(page) if mark else None
        if not text.lower().startswith(f"{SCHEME}://"):
            raise BadInvitation(f"an invitation starts with {SCHEME}://; paste the whole line that the registry gave")
        try:
            parts = urllib.parse.urlsplit(text)
            port = parts.port
        except ValueError:
            raise BadInvitation("the address in the invitation does not parse") from None
        if not parts.hostname or port == 0:
            raise BadInvitation("the invitation does not say where the registry is")
        if not parts.username or not parts.password:
            raise BadInvitation("the invitation holds no key; paste the whole line that the registry gave")
        query = dict(urllib.parse.parse_qsl(parts.query))
        algorithm = query.get("alg", ALGORITHM).lower()
        if algorithm not in ALGORITHMS:
            raise BadInvitation(f"the invitation asks for the algorithm {algorithm[:40]!r}, which is not known here")
        home = _name(urllib.parse.unquote(parts.path.strip("/")), "the home's name")
        registry = _name(query["zone"], "the registry's zone") if "zone" in query else names.parent(home)
        tls = query.get("tls", "0")
        if not (tls.isascii() and tls.isdecimal() and int(tls) <= 0xFFFF):
            raise BadInvitation("the port for TLS in the invitation is no port")
        web = link or (_web(query["web"], parts.hostname) if "web" in query else None)
        if home == registry or not names.is_subdomain(home, registry):
            raise BadInvitation("the home that the invitation names is not below its registry's zone")
        return cls(
            _name(urllib.parse.unquote(parts.username), "the key's name"),
            _secret(parts.password),
            home,
            parts.hostname,
            port or PORT,
            algorithm,
            registry,
            int(tls),
            web,
        )


def _place(page: str) -> tuple[str, int]:
    """Return the host and port of a link's page."""
    try:
        parts = urllib.parse.urlsplit(page)
        port = 443 if parts.port is None else parts.port
    except ValueError:
        raise BadInvitation("the address of the link does not parse") from None
    if not parts.hostname or not port:
        raise BadInvitation("the link does not say where the registry is")
    return parts.hostname, port


def _web(text: str, host: str) -> tuple[str, int]:
    """Return the name and port that `&web=` says."""
    name, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) <= 0xFFFF):
        raise BadInvitation("the port for HTTPS in the invitation is no port")
    return (_bare(_name(name, "the name for HTTPS")) if name else host), int(port)


def _bare(name: Name) -> str:
    text = names.to_text(name)
    return text if text == "." else text[:-1]


def _name(text: str, what: str) -> Name:
    try:
        name = names.from_text(text) if text else names.ROOT
    except BadName as error:
        raise BadInvitation(f"{what} in the invitation is no domain name: {error}") from None
    if name == names.ROOT:
        raise BadInvitation(f"{what} is missing in the invitation")
    return name


def _secret(text: str) -> bytes:
    text = urllib.parse.unquote(text).rstrip("=")
    try:
        secret = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadInvitation("the key in the invitation was damaged on its way; copy the line again") from None
    if not secret:
        raise BadInvitation("the key in the invitation is empty")
    return secret
