"""What others notice of slow clients: slow_clients.py [--idle 10000] [--seconds 3].

Starts a server of its own on loopback, pinned to one core, with one worker and room for the connections. Others ask
over UDP and over TCP at a steady rate: first alone, then beside each kind of misbehaviour. Prints a table in Markdown
with the 99th percentile of what they wait, and the memory of the worker.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import flood

SETTINGS = "[tcp]\nclients = {clients}\nper_client = {clients}\nidle = 60.0\n"
RATE = 500  # questions a second over UDP, and as many over TCP
RST = struct.pack("ii", 1, 0)  # SO_LINGER that makes a close a reset


def question(name: bytes, ident: int) -> bytes:
    return struct.pack("!6H", ident, 0, 1, 0, 0, 1) + name + b"\0\1\0\1" + b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


def framed(wire: bytes) -> bytes:
    return len(wire).to_bytes(2, "big") + wire


def connected(port: int, number: int) -> socket.socket:
    """Return a connection from one of many addresses."""
    sock = socket.socket()
    sock.bind((f"127.{100 + number // 200 % 50}.{number % 200}.1", 0))
    sock.settimeout(5)
    sock.connect(("127.0.0.1", port))
    return sock


def ask(port: int, name: bytes, seconds: float) -> tuple[list[float], list[float]]:
    """Return the sorted waits over UDP and over TCP, one connection for all of the latter."""
    by_udp: list[float] = []
    by_tcp: list[float] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, connected(port, 9999) as tcp:
        udp.connect(("127.0.0.1", port))
        udp.settimeout(1)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        for number in range(int(RATE * seconds)):
            time.sleep(max(0.0, began + number / RATE - time.perf_counter()))
            wire = question(name, number & 0xFFFF)
            for sock, octets, waits in ((udp, wire, by_udp), (tcp, framed(wire), by_tcp)):
                sent = time.perf_counter()
                with contextlib.suppress(TimeoutError):
                    sock.send(octets)
                    sock.recv(4096)
                waits.append(time.perf_counter() - sent)
            if time.perf_counter() - began > 2 * seconds:
                break
    return sorted(by_udp), sorted(by_tcp)


@contextlib.contextmanager
def held(port: int, count: int, first: bytes) -> Iterator[None]:
    """Hold *count* connections that have sent *first* and say and read nothing more."""
    socks: list[socket.socket] = []
    try:
        for number in range(count):
            sock = connected(port, number)
            socks.append(sock)
            if first:
                sock.setblocking(False)
                with contextlib.suppress(OSError):
                    sock.send(first)
        time.sleep(0.5)
        yield
    finally:
        for sock in socks:
            sock.close()


@contextlib.contextmanager
def resets(port: int, name: bytes) -> Iterator[None]:
    """Open connections, ask, and reset them in the middle of the answer, about 200 a second."""
    done = threading.Event()

    def work() -> None:
        number = 0
        while not done.wait(0.005):
            number += 1
            with contextlib.suppress(OSError), connected(port, number % 9000) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
                sock.send(framed(question(name, 1)) * 3 + b"\0")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def memory(pid: int) -> float:
    """Return the resident megabytes of the largest worker below *pid*."""
    found = [0.0]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"ddns.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
            fields = Path(f"/proc/{child}/status").read_text().split("VmRSS:")[1].split()
            found.append(int(fields[0]) / 1024)
    return max(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections")
    parser.add_argument("--seconds", type=float, default=3.0, help="each line, four at most")
    parser.add_argument("--port", type=int, default=5392)
    parser.add_argument("--server-cpu", type=int, default=0)
    parser.add_argument("--load-cpu", type=int, default=1)
    parser.add_argument("--ddns", default=f"{sys.executable} -m ddns.cli")
    o = parser.parse_args()
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    idle = min(o.idle, hard - 500)
    homes = [flood.Home(number) for number in range(5)]
    name = homes[0].name
    os.sched_setaffinity(0, {o.load_cpu})
    folder = Path(tempfile.mkdtemp(prefix="slow-"))
    folder.chmod(0o755)
    flood.SETTINGS = SETTINGS.format(clients=idle + 1000)
    server = None
    unread = framed(question(name, 1)) * 2000
    kinds: list[tuple[str, Callable[[], contextlib.AbstractContextManager[None]]]] = [
        ("nobody", contextlib.nullcontext),
        (f"{idle:,} idle connections", lambda: held(o.port, idle, b"")),
        ("500 that sent half a message", lambda: held(o.port, 500, framed(question(name, 1))[:9])),
        ("200 that ask and do not read", lambda: held(o.port, 200, unread)),
        ("200 a second reset in the middle", lambda: resets(o.port, name)),
        ("nobody again", contextlib.nullcontext),
    ]
    try:
        server = flood.start(folder, o.port, o.server_cpu, homes, o.ddns.split())
        print("| beside | UDP p50 / p99 ms | TCP p50 / p99 ms | worker MB |\n|---|---|---|---|")
        for label, misbehave in kinds:
            with misbehave():
                by_udp, by_tcp = ask(o.port, name, min(o.seconds, 4.0))
                size = memory(server.pid)
            figures = [f"{1000 * w[len(w) // 2]:.2f} / {1000 * w[int(len(w) * 0.99)]:.2f}" for w in (by_udp, by_tcp)]
            print(f"| {label} | {figures[0]} | {figures[1]} | {size:.0f} |", flush=True)
    finally:
        if server is not None:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
