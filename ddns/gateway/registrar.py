"""A registry as a box's registrar: what a box asks it by BRSKI (RFC 8995 §5) and by EST (RFC 7030), one request each.

Until the voucher is there nobody knows who the registrar is; but it stays the same one: every connection is held to the
key that the first one showed.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from binascii import Error as BadBase64
from binascii import a2b_base64

import msgspec
from cryptography import x509

from ddns.gateway import desk
from ddns.gateway.client import Unreachable
from ddns.gateway.desk import Desk, Said, Shows
from ddns.gateway.reply import Unproved
from ddns.proof import idevid

BRSKI = "/.well-known/brski/"
EST = "/.well-known/est/"
STANDING = "/v1/enrolment"
REQUEST = "application/pkcs10"
MOST_REASON = 200  # characters of what a registrar is told

Answered = Said | Unproved | Unreachable


class Registrar(msgspec.Struct, frozen=True):
    """The registrar at *host* and *port*, that shows the certificates *shown*, the first of them its own."""

    host: str
    port: int
    shown: tuple[x509.Certificate, ...]

    @property
    def desk(self) -> Desk:
        """Return where it is, held to its key."""
        pin = hashlib.sha256(idevid.public_octets(self.shown[0])).hexdigest()
        return Desk(self.host, self.port, "", (pin,))

    def voucher(self, octets: bytes, media: str, shows: Shows) -> Answered:
        """Ask for a voucher (RFC 8995 §5.2)."""
        headers = {"Content-Type": media, "Accept": media}
        return desk.ask(self.desk, "POST", f"{BRSKI}requestvoucher", octets, headers=headers, shows=shows)

    def tell(self, what: str, shows: Shows, bad: str = "") -> Answered:
        """Tell how *what*, `voucher_status` or `enrollstatus`, went, and what was *bad* (RFC 8995 §5.7, §5.9.4)."""
        said: dict[str, object] = {"version": 1, "status": not bad}
        if bad:
            said |= {"reason": bad[:MOST_REASON], "reason-context": {}}
        headers = {"Content-Type": "application/json", "Accept": "*/*"}
        return desk.ask(self.desk, "POST", f"{BRSKI}{what}", msgspec.json.encode(said), headers=headers, shows=shows)

    def attributes(self, shows: Shows) -> Answered:
        """Ask what a certification request should have (RFC 7030 §4.5)."""
        headers = {"Accept": "application/csrattrs"}
        return _plain(desk.ask(self.desk, "GET", f"{EST}csrattrs", headers=headers, shows=shows))

    def enrol(self, verb: str, octets: bytes, shows: Shows) -> Answered:
        """Ask for a certificate with the request *octets*; *verb* is `simpleenroll` or `simplereenroll`."""
        headers = {"Content-Type": REQUEST, "Accept": "application/pkcs7-mime"}
        said = desk.ask(self.desk, "POST", EST + verb, b64encode(octets), headers=headers, shows=shows)
        return _plain(said)

    def standing(self, shows: Shows) -> Answered:
        """Ask which home the box has that shows the certificate that it was given."""
        return desk.ask(self.desk, "GET", STANDING, shows=shows)


def find(host: str, port: int) -> Registrar | Unreachable:
    """Return who answers at *host* and *port*; nobody has judged them."""
    found = desk.certificates_at(host, port)
    return found if isinstance(found, Unreachable) else Registrar(host, port, found)


def _plain(said: Answered) -> Answered:
    """Return an answer of EST without its base64 (RFC 8951 §3.1: white space is left out)."""
    if not isinstance(said, Said) or said.status != 200:
        return said
    try:
        return msgspec.structs.replace(said, octets=a2b_base64(b"".join(said.octets.split()), strict_mode=True))
    except BadBase64:
        return Unreachable("what it answered is no base64")
