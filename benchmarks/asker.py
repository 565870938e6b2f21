"""Questions at a steady rate, and how long their answers took: asker.py PORT RATE, until its stdin is closed.

A latency counts from when the question was due, so that a server that stands still is not asked less. What is lost
counts as two seconds. It prints one JSON object, with p50_ms, p99_ms, p999_ms, max_ms and number.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time

from latency import Latencies

from ddns.dns import names

LOST = 2.0  # seconds
NAMES = ("ns1.homes.example.", "homes.example.", "nothing.homes.example.")


def main() -> None:
    """Ask and print."""
    port, rate = int(sys.argv[1]), float(sys.argv[2])
    took, due = Latencies(), {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.setblocking(False)
        began, asked, open_ = time.monotonic(), 0, True
        while open_ or due:
            now = time.monotonic()
            while open_ and began + asked / rate <= now:
                name = names.from_text(NAMES[asked % len(NAMES)])
                ident = asked & 0xFFFF
                due[ident] = began + asked / rate
                sock.send(struct.pack("!6H", ident, 0, 1, 0, 0, 0) + name + struct.pack("!2H", 1, 1))
                asked += 1
            wait = min(0.05, max(0.0, began + asked / rate - now)) if open_ else 0.05
            ready, _, _ = select.select([sock, *([sys.stdin] if open_ else [])], [], [], wait)
            now = time.monotonic()
            if sock in ready:
                (ident,) = struct.unpack("!H", sock.recv(4096)[:2])
                if ident in due:
                    took.add(now - due.pop(ident))
            if sys.stdin in ready:
                open_ = False
            for ident in [one for one, at in due.items() if now - at >= LOST]:
                took.add(LOST)
                del due[ident]
    print(json.dumps(took.summary() | {"number": took.number}), flush=True)


if __name__ == "__main__":
    main()
