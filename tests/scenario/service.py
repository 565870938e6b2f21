"""The real service as child processes, and the words in which scenarios speak to it."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import psycopg
from ports import free_port

from ddns import postgres
from ddns.dns import names

START_TIMEOUT = 120.0
STOP_TIMEOUT = 120.0
# Updates wait for their signatures however slow the machine is: what NOERROR said is what the next one who asks sees.
PATIENT = "[signer]\nwait = 25.0\n"
NOBODY = '[watch]\nresolver = "127.0.0.1:9"\n'  # what the service watches is not to be looked up outside
ASKS = 25  # questions for each worker: that all of them go past one of two happens once in 10**14 times


def has_ipv6():
    """Tell whether this machine has the IPv6 loopback address."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1", 0))
        return True
    return False


def children(pid):
    """Return the pids of the direct children of *pid*."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def tree(pid):
    """Return *pid* and all its descendants."""
    return [pid, *(below for child in children(pid) for below in tree(child))]


def command_line(pid):
    """Return the words of a process's command line; nothing where it has gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def alive(pid):
    """Tell whether *pid* runs; one that only waits to be reaped does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False


def eventually(condition, timeout=40.0, pause=0.05):
    """Return what *condition* gives as soon as it is true; fail after *timeout* seconds."""
    end = time.monotonic() + timeout
    while not (result := condition()):
        assert time.monotonic() < end, f"{condition} did not come true within {timeout} s"
        time.sleep(pause)
    return result


def default_workers():
    """Return how many workers a service has that is not told."""
    return min(4, len(os.sched_getaffinity(0)))


class Service:
    """`ddns serve` on a folder of its own, and commands beside it."""

    def __init__(self, *options, ipv6=False, settings=PATIENT, pure=False):
        # Not below pytest's own folder: that is closed to the account under which Postgres runs when we are root.
        self.folder = Path(tempfile.mkdtemp(prefix="nameplate-"))
        self.folder.chmod(0o755)
        self.state = self.folder / "state"
        self.log = self.folder / "serve.log"
        self.port = free_port()
        self.addresses = ["127.0.0.1", *(["::1"] if ipv6 else [])]
        self._options = options
        self.workers = int(options[options.index("--workers") + 1]) if "--workers" in options else default_workers()
        self.process = None
        self.pure = pure  # without the native twin
        self.configure(settings)

    def configure(self, settings):
        """Have the next start read *settings*, the content of a `ddns.toml`."""
        file = self.folder / "ddns.toml"
        file.write_text(settings if "[watch]" in settings else f"{settings}\n{NOBODY}")
        if "--config" not in self._options:
            self._options = (*self._options, "--config", str(file))

    def __enter__(self):
        return self

    def __exit__(self, kind, problem, trace):
        """Stop the service where all went well, and remove it in any case."""
        try:
            if kind is None:
                self.stop()
        finally:
            self.remove()

    # -- processes ------------------------------------------------------------------------------------------

    def environment(self):
        """Return the environment of commands: this service's state folder, and no DSN from outside."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DDNS_", "PG"))}
        return kept | {"DDNS_STATE": str(self.state), "PYTHONUNBUFFERED": "1", "DDNS_PURE": str(int(self.pure))}

    def ddns(self, *words, status=0, text=None):
        """Run a command to its end and return what it printed; its exit status must be *status*."""
        return self._run("ddns.cli", words, status, text)

    def signer(self, *words, status=0):
        """Run a command of `zone-signer`, likewise."""
        return self._run("zone_signer.cli", words, status)

    def _run(self, program, words, status, text=None):
        done = subprocess.run(
            [sys.executable, "-m", program, *map(str, words)],
            cwd=self.folder,
            env=self.environment(),
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, (
            f"{program} {' '.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout if status == 0 else done.stderr

    def start(self):
        """Start the service and wait until it answers."""
        listen = [f"[{a}]:{self.port}" if ":" in a else f"{a}:{self.port}" for a in self.addresses]
        words = [word for address in listen for word in ("--listen", address)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ddns.cli", "serve", *words, *self._options],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.wait()
        return self

    def wait(self, timeout=START_TIMEOUT):
        """Wait until a question gets any answer, from every worker."""
        wire = dns.message.make_query(".", "SOA", flags=0).to_wire()
        end = time.monotonic() + timeout
        while True:
            assert self.process.poll() is None, f"the service ended:\n{self.log.read_text()}"
            with contextlib.suppress(OSError):
                return self._answers(wire, timeout=5.0)
            assert time.monotonic() < end, f"no answer within {timeout} s:\n{self.log.read_text()}"
            time.sleep(0.1)

    def stop(self):
        """End the service as systemd would, and see that nobody stays behind."""
        if self.process is None or self.process.poll() is not None:
            return
        family = tree(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert status == 0, self.log.read_text()
        eventually(lambda: not any(map(alive, family)))

    def kill(self):
        """Kill the supervisor without a word, and see that the others go with it."""
        family = tree(self.process.pid)
        self.process.kill()
        self.process.wait(STOP_TIMEOUT)
        eventually(lambda: not any(map(alive, family)), timeout=STOP_TIMEOUT)

    def pids(self, role):
        """Return the pids of the children that do *role*: worker, desk, signer or postgres."""
        marks = {"worker": "ddns.worker", "desk": "ddns.desk", "signer": "zone_signer", "postgres": "postgres"}
        return [pid for pid in children(self.process.pid) if any(marks[role] in word for word in command_line(pid)[:4])]

    def remove(self):
        """Remove the service's folder, and the service where a test has left it running."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_TIMEOUT)
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- setting up -----------------------------------------------------------------------------------------

    def apply(self, text, *options):
        """Bring the registry to what *text*, the content of a registry file, says."""
        file = self.folder / "registry.toml"
        file.write_text(text)
        file.chmod(0o600)
        return self.ddns("apply", file, *options)

    def export(self, zone):
        """Return the path of a master file with the zone as it is published."""
        file = self.folder / f"{zone}signed"
        file.write_text(self.ddns("zone", "export", zone, "--signed"))
        return file

    # -- speaking DNS ---------------------------------------------------------------------------------------

    def send(self, message, *, tcp=False, address="127.0.0.1", timeout=30.0):
        """Send *message* (a dnspython message) and return the answer."""
        how = dns.query.tcp if tcp else dns.query.udp
        return how(message, address, port=self.port, timeout=timeout)

    def ask(self, name, rdtype, *, dnssec=False, tcp=False, address="127.0.0.1", timeout=30.0):
        """Ask a question and return the answer; a truncated one is asked again by TCP."""
        query = dns.message.make_query(name, rdtype, want_dnssec=dnssec)
        query.flags &= ~dns.flags.RD
        answer = self.send(query, tcp=tcp, address=address, timeout=timeout)
        if answer.flags & dns.flags.TC:
            answer = self.send(query, tcp=True, address=address, timeout=timeout)
        return answer

    def answer(self, name, rdtype, *, dnssec=False):
        """Return the answer as soon as all workers give the same: one hears of a change later than another."""
        query = dns.message.make_query(name, rdtype, want_dnssec=dnssec, flags=0)
        wire = query.to_wire()

        def alike():
            with contextlib.suppress(TimeoutError):  # a question may get lost while a flood fills the buffers
                given = self._answers(wire)
                return given.pop() if len(given) == 1 else None
            return None

        answer = dns.message.from_wire(eventually(alike))
        return self.send(query, tcp=True) if answer.flags & dns.flags.TC else answer

    def _answers(self, wire, timeout=20.0):
        """Return all that the workers answer to *wire*; each question goes to one of them by chance."""
        given = set()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.connect(("127.0.0.1", self.port))
            for _ in range(1 if self.workers == 1 else ASKS * self.workers):
                sock.send(wire)
                given.add(sock.recv(65535))
        return given

    def values(self, name, rdtype):
        """Return the texts of the records of *rdtype* at *name*, sorted, as soon as all workers give the same."""
        wanted = dns.rdatatype.from_text(rdtype)
        return sorted(
            rdata.to_text() for rrset in self.answer(name, rdtype).answer if rrset.rdtype == wanted for rdata in rrset
        )

    def serial(self, zone):
        """Return the zone's SOA serial as soon as all workers give the same."""
        return self.answer(zone, "SOA").answer[0][0].serial

    def committed_serial(self, zone):
        """Return the zone's serial in the database: what every worker comes to."""
        origin = names.order_key(dns.name.from_text(zone).to_wire())
        with psycopg.connect(postgres.socket_dsn(postgres.running(self.state), postgres.OWNER)) as conn:
            return conn.execute("SELECT serial FROM zones WHERE origin = %s", [origin]).fetchone()[0]

    def signed(self, zone):
        """Tell whether the zone is served with signatures, by every worker."""
        return any(rrset.rdtype == dns.rdatatype.RRSIG for rrset in self.answer(zone, "SOA", dnssec=True).answer)

    def published(self, zone, *, signed):
        """Tell whether every worker serves the zone, with signatures where it is a *signed* one."""
        return self.signed(zone) if signed else bool(self.values(zone, "SOA"))

    def exchange(self, wire, timeout=20.0):
        """Send *wire* as one datagram and return the answer's octets; None where nobody answers."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.connect(("127.0.0.1", self.port))
            try:
                sock.send(wire)
                return sock.recv(65535)
            except (TimeoutError, ConnectionRefusedError):
                return None
