"""A real desk behind a real service, and a client that speaks to it as programs do: for every scenario of the API."""

import contextlib
import http.client
import json
import socket
import ssl
import time

from ports import free_port
from service import START_TIMEOUT, Service

NAME = "ns1.homes.example"
SETTINGS = f'[serve]\nname = "{NAME}"\n[signer]\nwait = 25.0\n[web]\nsource_burst = 100000\nsource_rate = 100000\n'
ZONE = """\
$TTL 300
@ 3600 SOA ns1 hostmaster 1 7200 3600 1209600 300
@ 3600 NS ns1
ns1 A 127.0.0.1
"""


class Answered:
    """What came back: `status`, `headers` (names in lower case), `body` (octets) and `json`."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:500]!r}"


class Desk(Service):
    """`ddns serve` with a desk: `web` and `devices` are its ports."""

    def __init__(self, *options, settings=SETTINGS, **also):
        self.web, self.devices = free_port(), free_port()
        options = (
            "--workers",
            "1",
            "--web",
            f"127.0.0.1:{self.web}",
            "--devices",
            f"127.0.0.1:{self.devices}",
            *options,
        )
        super().__init__(*options, settings=settings, **also)

    def set_up(self, zone="homes.example.", denial="nsec", policy=""):
        """Make the registry's zone, with the words of *policy* if any."""
        file = self.folder / f"{zone}zone"
        file.write_text(ZONE)
        self.apply(f'[[zone]]\nname = "{zone}"\nfile = "{file.name}"\ndenial = "{denial}"\n')
        if policy:
            self.ddns("policy", "set", zone, *policy.split())
        return self

    @contextlib.contextmanager
    def running(self, **wishes):
        """Set it up with *wishes*, start it and yield it; in the end it is stopped and removed."""
        with self:
            self.set_up(**wishes).start()
            yield self

    def start(self):
        super().start()
        end = time.monotonic() + START_TIMEOUT
        while True:
            assert time.monotonic() < end, self.log.read_text()
            try:
                socket.create_connection(("127.0.0.1", self.web), 5).close()
                if self.ask_web("GET", "/healthz").status == 200:
                    return self
            except OSError:
                time.sleep(0.1)

    @property
    def url(self):
        return f"https://127.0.0.1:{self.web}"

    @property
    def certificate(self):
        """Return the path of the certificate that the desk shows."""
        return self.state / "tls" / "certificate.pem"

    def context(self, certificate=None):
        """Return what a client believes: this desk alone; it shows *certificate* (paths of chain and key)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.certificate)
        if certificate is not None:
            context.load_cert_chain(*map(str, certificate))
        return context

    def token(self, *rights, tenant=None, words=()):
        """Make a token with *rights*, and return its text."""
        named = () if tenant is None else ("--tenant", tenant)
        made = self.ddns("token", "add", "--rights", ",".join(rights), *named, *words, "--json")
        return json.loads(made)["token"]

    def ask_web(self, method, path, body=None, *, token=None, headers=None, certificate=None, devices=False):
        """Send one request over a connection of its own. *body*: octets, or anything that becomes JSON."""
        said = dict(headers or {})
        if token is not None:
            said["Authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            said.setdefault("Content-Type", "application/json")
        port = self.devices if devices else self.web
        # Verification of the name is off: the client knows this certificate itself, as DANE says it.
        context = self.context(certificate) if not devices else _believing(certificate)
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)
        try:
            connection.request(method, path, body, said)
            return Answered(connection.getresponse())
        finally:
            connection.close()


def _believing(certificate):
    """Return a context that believes anybody: devices' tests judge the registrar's chain by themselves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(*map(str, certificate))
    return context
