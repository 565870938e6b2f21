"""Good updates and questions while forged SIG(0) updates arrive: flood.py [--rates 0,1000,...] [--seconds 3].

Starts a server of its own on loopback, pinned to one core, with one worker; the load shares another core. Three floods:

  unknown   keys that nobody has, from invented addresses
  known     the names of enrolled keys with wrong signatures, from invented addresses
  victim    the same from the addresses of those homes themselves

Meanwhile homes send good updates at a steady rate, as the gateway agent does: UDP, and TCP where the answer has TC; a
tenth of them from an address that the server has never seen. Others ask questions at a steady rate. Response rate
limiting is on and exempts nobody. Prints a table in Markdown; with the defaults it takes about two minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import os
import random
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from ddns.auth import keys, sig0
from ddns.dns import names
from ddns.dns.text import rdata_to_text

ORIGIN = "flood.test."
ZONE = names.from_text(ORIGIN)
HOMES = 50
SETTINGS = "[rrl]\nexempt = []\n"
LATE = 1.0  # seconds after which an answer counts as late
SPOOFED = 400  # sockets, each with an invented address
TICK = 0.001  # seconds between two volleys


class Home:
    """A home with a key of its own and an address of its own."""

    def __init__(self, number: int) -> None:
        self.name = names.from_text(f"h{number}.{ORIGIN}")
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.address = f"127.20.{number}.1"

    def update(self, number: int) -> bytes:
        """Return a signed update that gives the home another address; each *number* makes another."""
        head = struct.pack("!6H", random.getrandbits(16), 5 << 11, 1, 0, 2, 0) + ZONE + struct.pack("!2H", 6, 1)
        delete = self.name + struct.pack("!2HIH", 1, 255, 0, 0)
        add = self.name + struct.pack("!2HIH4s", 1, 1, 300, 4, struct.pack("!I", 0x0A000000 | number & 0xFFFFFF))
        return sig0.sign_request(head + delete + add, self.key, self.name, int(time.time()))


def bound(address: str, kind: int = socket.SOCK_DGRAM) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind((address, 0))
    sock.setblocking(False)
    return sock


def forged(kind: str, homes: list[Home], count: int) -> list[bytes]:
    """Return *count* forged updates, no two the same."""
    genuine = homes[0].update(1)
    size = len(homes[0].name)
    out = []
    for _ in range(count):
        wire = genuine[:-64] + os.urandom(64)
        if kind == "unknown":
            label = os.urandom(8).hex().encode()
            name = bytes((len(label),)) + label + ZONE
        else:
            name = random.choice(homes).name
        start = len(genuine) - 64 - size
        # The RDATA's length stands before its 18 fixed octets and the signer.
        length = struct.pack("!H", 18 + len(name) + 64)
        out.append(os.urandom(2) + wire[2 : start - 20] + length + wire[start - 18 : start] + name + wire[-64:])
    return out


def flood(kind: str, rate: int, seconds: float, homes: list[Home], port: int, cpu: int, ready, go, sent) -> None:
    """Send forged updates at *rate* a second; runs in a process of its own."""
    os.sched_setaffinity(0, {cpu})
    messages = forged(kind, homes, min(int(rate * seconds) + 1, 150_000))
    addresses = (
        [home.address for home in homes]
        if kind == "victim"
        else [
            f"127.{random.randrange(64, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
            for _ in range(SPOOFED)
        ]
    )
    socks = []
    for address in addresses:
        sock = bound(address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)  # nobody listens
        sock.connect(("127.0.0.1", port))
        socks.append(sock)
    if kind == "victim":  # each in the name of the home whose address it claims
        by_name = {home.name: sock for home, sock in zip(homes, socks, strict=True)}
        pairs = [
            (by_name[wire[-64 - len(homes[0].name) : -64]], wire)
            for wire in messages
            if wire[-64 - len(homes[0].name) : -64] in by_name
        ]
    else:
        pairs = list(zip(itertools.cycle(socks), messages))
    volley = itertools.cycle([(sock.send, wire) for sock, wire in pairs])
    ready.set()
    go.wait()
    began = time.perf_counter()
    count = 0
    while (now := time.perf_counter() - began) < seconds:
        due = min(int(now * rate) - count, 1 + rate // 50)
        for _ in range(due):
            send, wire = next(volley)
            with contextlib.suppress(OSError):
                send(wire)
        count += due
        if due < rate * TICK:
            time.sleep(TICK)
    sent.value = count


class Load:
    """Homes that update and others that ask, each at a steady rate, whatever the answers (an open loop)."""

    def __init__(self, port: int, homes: list[Home], updates: int, queries: int) -> None:
        self.server = ("127.0.0.1", port)
        self.homes = homes
        self.updates = updates
        self.queries = queries
        self.selector = selectors.DefaultSelector()
        self.numbers = itertools.count(random.randrange(1 << 22))
        self.askers = [bound(f"127.{40 + at % 8}.{at}.1") for at in range(64)]
        for sock in self.askers:
            self.selector.register(sock, selectors.EVENT_READ, self.answered)

    def run(self, seconds: float, forged_too) -> dict[str, float]:
        """Return what happened in *seconds*; *forged_too* is called when the clock starts."""
        self.asked: dict[tuple[int, int], float] = {}
        self.waits: list[float] = []
        self.done: list[tuple[float, bool, bool]] = []  # seconds, newcomer, by TCP
        self.failed = 0
        self.open: dict[socket.socket, tuple[float, bytes, bool]] = {}
        moved = itertools.count(random.randrange(1 << 14))
        plan = []
        for at in range(int(self.updates * seconds)):
            home = self.homes[at % len(self.homes)]
            new = at % 10 == 9
            number = next(moved)
            address = (
                f"127.{2 + number // 65536 % 16}.{number // 250 % 256}.{1 + number % 250}" if new else home.address
            )
            plan.append((at / self.updates, home.update(next(self.numbers)), address, new))
        names_ = [home.name for home in self.homes]
        questions = [
            struct.pack("!6H", at & 0xFFFF, 0, 1, 0, 0, 1)
            + random.choice(names_)
            + b"\0\1\0\1"
            + b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
            for at in range(int(self.queries * seconds))
        ]
        forged_too()
        began = time.perf_counter()
        next_update = next_question = 0
        end = seconds + LATE
        while (now := time.perf_counter() - began) < end:
            while next_update < len(plan) and plan[next_update][0] <= now:
                _, wire, address, new = plan[next_update]
                next_update += 1
                sock = bound(address)
                sock.connect(self.server)
                self.open[sock] = (began + plan[next_update - 1][0], wire, new)
                self.selector.register(sock, selectors.EVENT_READ, self.by_udp)
                sock.send(wire)
            while next_question < len(questions) and next_question / self.queries <= now:
                which = next_question % len(self.askers)
                self.asked[which, next_question & 0xFFFF] = time.perf_counter()
                with contextlib.suppress(OSError):
                    self.askers[which].sendto(questions[next_question], self.server)
                next_question += 1
            if next_update == len(plan) and next_question == len(questions) and not self.open and not self.asked:
                break
            for key, _ in self.selector.select(TICK / 2):
                key.data(key.fileobj)
        for sock in list(self.open):
            self.close(sock)
        return self.figures(seconds, len(plan), len(questions))

    def close(self, sock: socket.socket) -> None:
        self.selector.unregister(sock)
        sock.close()
        del self.open[sock]

    def answered(self, sock: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                octets = sock.recv(4096)
                sent = self.asked.pop((self.askers.index(sock), int.from_bytes(octets[:2], "big")), None)
                if sent is not None and not octets[2] & 2:
                    self.waits.append(time.perf_counter() - sent)

    def by_udp(self, sock: socket.socket) -> None:
        began, wire, new = self.open[sock]
        try:
            octets = sock.recv(4096)
        except OSError:
            return
        if octets[:2] != wire[:2]:
            return
        if not octets[2] & 2:
            self.finish(sock, octets, by_tcp=False)
            return
        address = sock.getsockname()[0]
        self.close(sock)
        stream = bound(address, socket.SOCK_STREAM)
        with contextlib.suppress(BlockingIOError):
            stream.connect(self.server)
        self.open[stream] = (began, wire, new)
        self.selector.register(stream, selectors.EVENT_WRITE, self.connected)

    def connected(self, sock: socket.socket) -> None:
        wire = self.open[sock][1]
        try:
            sock.send(len(wire).to_bytes(2, "big") + wire)
        except OSError:
            self.close(sock)
            return
        self.selector.modify(sock, selectors.EVENT_READ, self.by_tcp)

    def by_tcp(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            octets = sock.recv(4096)
            self.finish(sock, octets[2:], by_tcp=True)

    def finish(self, sock: socket.socket, octets: bytes, *, by_tcp: bool) -> None:
        began, _, new = self.open[sock]
        if len(octets) >= 12 and not octets[3] & 15:
            self.done.append((time.perf_counter() - began, new, by_tcp))
        else:
            self.failed += 1
        self.close(sock)

    def figures(self, seconds: float, updates: int, questions: int) -> dict[str, float]:
        waits = sorted(self.waits)
        took = sorted(one for one, _, _ in self.done)
        good = sum(one <= LATE for one in took)
        moved = [one for one, new, _ in self.done if new and one <= LATE]
        return {
            "updates": good / seconds,
            "share": 100 * good / max(updates, 1),
            "moved": 100 * len(moved) / max(updates // 10, 1),
            "tcp": sum(by_tcp for _, _, by_tcp in self.done),
            "u50": 1000 * took[len(took) // 2] if took else float("nan"),
            "u99": 1000 * took[int(len(took) * 0.99)] if took else float("nan"),
            "queries": len(waits) / seconds,
            "asked": 100 * len(waits) / max(questions, 1),
            "q50": 1000 * waits[len(waits) // 2] if waits else float("nan"),
            "q99": 1000 * waits[int(len(waits) * 0.99)] if waits else float("nan"),
        }


def start(folder: Path, port: int, cpu: int, homes: list[Home], ddns: list[str]) -> subprocess.Popen[bytes]:
    """Start a server with the homes' zone and wait until it answers."""
    lines = [
        f"$ORIGIN {ORIGIN}",
        "$TTL 300",
        "@ SOA ns1 hostmaster 1 7200 3600 1209600 300",
        "@ NS ns1",
        "ns1 A 127.0.0.1",
    ]
    lines += [f"h{number} A 10.0.0.1" for number in range(len(homes))]
    (folder / "flood.zone").write_text("\n".join(lines) + "\n")
    registry = []
    grants = []
    for home in homes:
        name = names.to_text(home.name)
        text = rdata_to_text(25, keys.key_rdata(home.key))
        registry.append(f'[[key]]\nname = "{name}"\nsig0 = "{text}"\n')
        grants.append(f'{{ key = "{name}", name = "{name}" }}')
    registry.append(
        f'[[zone]]\nname = "{ORIGIN}"\nfile = "flood.zone"\ndenial = "nsec3"\ngrants = [{", ".join(grants)}]\n'
    )
    (folder / "registry.toml").write_text("\n".join(registry))
    (folder / "registry.toml").chmod(0o600)
    (folder / "ddns.toml").write_text(SETTINGS)
    environment = os.environ | {"DDNS_STATE": str(folder / "state")}
    pinned = ["taskset", "-c", str(cpu), *ddns]
    subprocess.run(
        [*pinned, "apply", "--wait", "0", str(folder / "registry.toml")],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [*pinned, "serve", "--config", str(folder / "ddns.toml"),
             "--listen", f"127.0.0.1:{port}", "--workers", "1"],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    question = struct.pack("!6H", 7, 0, 1, 0, 0, 1) + homes[0].name + b"\0\x2e\0\1" + b"\0\0\x29\x04\xd0\0\0\x80\0\0\0"
    end = time.monotonic() + 60
    with bound("127.0.0.1") as sock:
        sock.settimeout(0.2)
        while time.monotonic() < end:
            if process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                sock.sendto(question, ("127.0.0.1", port))
                answer = sock.recv(4096)
                if not answer[3] & 15 and answer[7]:
                    return process
            time.sleep(0.1)
    sys.exit("flood: the server does not answer:\n" + (folder / "serve.log").read_text()[-2000:])


def measure(kind: str, rate: int, o: argparse.Namespace, homes: list[Home]) -> dict[str, float]:
    load = Load(o.port, homes, o.updates, o.queries)
    ready, go, sent = multiprocessing.Event(), multiprocessing.Event(), multiprocessing.Value("q", 0)
    forger = None
    if rate:
        forger = multiprocessing.Process(
            target=flood, args=(kind, rate, o.seconds + 0.2, homes, o.port, o.load_cpu, ready, go, sent)
        )
        forger.start()
        ready.wait()
    found = load.run(o.seconds, go.set)
    if forger is not None:
        forger.join()
    for sock in load.askers:
        sock.close()
    return found | {"sent": sent.value / (o.seconds + 0.2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="0,1000,5000,10000,20000,50000", help="forged updates a second")
    parser.add_argument("--kinds", default="unknown,known,victim")
    parser.add_argument("--seconds", type=float, default=3.0, help="each point, four at most")
    parser.add_argument("--updates", type=int, default=100, help="good updates a second")
    parser.add_argument("--queries", type=int, default=2000, help="questions a second")
    parser.add_argument("--port", type=int, default=5391)
    parser.add_argument("--server-cpu", type=int, default=0)
    parser.add_argument("--load-cpu", type=int, default=1)
    parser.add_argument("--ddns", default=f"{sys.executable} -m ddns.cli")
    o = parser.parse_args()
    o.seconds = min(o.seconds, 4.0)
    homes = [Home(number) for number in range(HOMES)]
    os.sched_setaffinity(0, {o.load_cpu})
    folder = Path(tempfile.mkdtemp(prefix="flood-"))
    folder.chmod(0o755)
    server = None
    try:
        server = start(folder, o.port, o.server_cpu, homes, o.ddns.split())
        Load(o.port, homes, HOMES, 200).run(1.0, lambda: None)  # the homes become known
        columns = (
            "flood", "forged/s", "good updates/s", "within 1 s", "from new addresses", "by TCP", "p50 / p99 ms",
            "questions/s", "answered", "p50 / p99 ms",
        )  # fmt: skip
        print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
        for kind in o.kinds.split(","):
            for rate in map(int, o.rates.split(",")):
                if not rate and kind != o.kinds.split(",")[0]:
                    continue
                f = measure(kind, rate, o, homes)
                cells = (
                    kind if rate else "none", f"{f['sent']:,.0f}", f"{f['updates']:.0f}", f"{f['share']:.1f} %",
                    f"{f['moved']:.0f} %", f"{f['tcp']:.0f}", f"{f['u50']:.1f} / {f['u99']:.1f}",
                    f"{f['queries']:,.0f}", f"{f['asked']:.1f} %", f"{f['q50']:.2f} / {f['q99']:.2f}",
                )  # fmt: skip
                print(f"| {' | '.join(cells)} |", flush=True)
    finally:
        if server is not None:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
