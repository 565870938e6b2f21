"""Draw where the time goes of a question or an update: flame.py query|update --port P --pids @FILE --out FILE.svg.

Has the load of the comparison harness come to a running server, has py-spy look at its Python processes many times a
second (where it can, into their C code too), and draws what was running as an SVG: each box as wide as its part of the
CPU time, callers below, the number of samples in its tooltip. Processes that are not Python (Postgres) are boxes as
wide as the CPU time that the kernel counts for them. `flame.py draw --out FILE.svg <RAW` draws what
`py-spy record --format raw` wrote elsewhere.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from html import escape
from pathlib import Path

import processes

RATE = 200  # samples a second of each process
SECONDS = 8.0
SETTLING = 1.5  # seconds of load before the first sample
ENDING = 60.0  # seconds that a helper gets to end
WIDTH, HEIGHT, MARGIN = 1200, 17, 10  # pixels
LEAST = 0.002  # of the whole width: boxes below are left out
DEEPEST = 60  # boxes on each other
WAITING = frozenset(
    ("epoll_wait", "poll", "select", "__select", "pthread_cond_timedwait", "__futex_abstimed_wait_common")
)
LETTER = 6.6  # pixels
_POSTGRES = re.compile(r"postgres: (?:\S+ \S+ \[local\]|[a-z ]+)")

Folded = Counter[tuple[str, ...]]


class Box:
    """One function in one place of the call tree: *samples* of it and of what it called."""

    def __init__(self) -> None:
        self.samples = 0.0
        self.called: dict[str, Box] = {}

    def add(self, frames: tuple[str, ...], samples: float) -> None:
        box = self
        box.samples += samples
        for frame in frames[:DEEPEST]:
            box = box.called.setdefault(frame, Box())
            box.samples += samples


def read(raw: str) -> Folded:
    """Return what py-spy wrote: a line is the frames, outermost first and `;` between them, and a number."""
    found: Folded = Counter()
    for line in raw.splitlines():
        frames, _, samples = line.rpartition(" ")
        path = tuple(_short(frame) for frame in frames.split(";") if not frame.startswith("0x"))
        if path and samples.isdigit() and path[-1].partition(" ")[0] not in WAITING:
            found[path] += int(samples)
    return found


def _short(frame: str) -> str:
    """Return a frame's function and file: the folders before our own packages say nothing."""
    return re.sub(r"\((?:[^)]*?/)??((?:ddns|zone_signer|twisted|psycopg|asyncio|dns)/[^)]*)\)", r"(\1)", frame)


def draw(folded: Folded, title: str) -> str:
    """Return the SVG."""
    root = Box()
    for frames, samples in folded.items():
        root.add(frames, samples)
    boxes: list[str] = []
    depth = _boxes(root, 0.0, 0, max(root.samples, 1.0), boxes)
    height = (depth + 1) * HEIGHT + 3 * MARGIN + HEIGHT
    bottom = height - MARGIN - HEIGHT
    size = f'viewBox="0 0 {WIDTH + 2 * MARGIN} {height}" font-family="monospace" font-size="11"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{MARGIN}" y="{MARGIN + 12}" font-size="14">{escape(title)}</text>',
        f'<g transform="translate({MARGIN} {bottom})">',
    ]
    return "\n".join([*head, *boxes, "</g>", "</svg>\n"])


def _boxes(box: Box, left: float, level: int, whole: float, out: list[str]) -> int:
    """Append the boxes called by *box*, which begins at *left* pixels; return how many levels there are."""
    deepest = level
    for frame, called in sorted(box.called.items()):
        width = called.samples / whole * WIDTH
        if called.samples / whole >= LEAST:
            part = 100 * called.samples / whole
            text = frame[: max(int(width / LETTER) - 1, 0)]
            y = -level * HEIGHT
            out.append(
                f"<g><title>{escape(frame)}: {part:.1f} %, {called.samples:.0f} samples</title>"
                f'<rect x="{left:.1f}" y="{y}" width="{max(width - 0.5, 0.5):.1f}" height="{HEIGHT - 1}" '
                f'fill="{_colour(frame)}"/>'
                + (f'<text x="{left + 3:.1f}" y="{y + 12}">{escape(text)}</text>' if len(text) > 2 else "")
                + "</g>"
            )
            deepest = max(deepest, _boxes(called, left, level + 1, whole, out))
        left += width
    return deepest


def _colour(frame: str) -> str:
    """Return ours in orange, libraries in yellow, what is not Python in blue; shades tell neighbours apart."""
    shade = zlib.crc32(frame.encode()) % 40
    if re.search(r"\((ddns|zone_signer)/|ddns\.|zone_signer", frame):
        return f"rgb({230 - shade // 2},{130 + shade},60)"
    if ".py" in frame:
        return f"rgb({235 - shade // 2},{205 + shade // 2},{90 + shade})"
    return f"rgb({120 + shade},{165 + shade // 2},215)"


# -- a running server -----------------------------------------------------------------------------------------------


def load(o: argparse.Namespace, seconds: float) -> list[str]:
    """Return the command that questions, or updates of 32 clients with SIG(0)."""
    homes = (o.data / "meta").read_text().split()[0]
    if o.path == "query":
        words = ["taskset", "-c", o.load_cpu, "dnsperf", "-s", "127.0.0.1", "-p", str(o.port), "-D", "-c", "20"]
        return [*words, "-q", "100", "-l", str(seconds), "-d", str(o.data / "q_uniform.txt")]
    words = [sys.executable, str(o.harness / "bench_update.py"), "--port", str(o.port), "--homes", homes, "--auth"]
    words += ["sig0", "--count", homes, "--concurrency", "32", "--max-seconds", str(seconds), "--check", "0"]
    return [*words, "--gen-cpu", o.load_cpu, *(["--per-home-zone"] if (o.data / "homes.jsonl").exists() else [])]


def record(o: argparse.Namespace) -> Folded:
    """Return what ran below the pids while the load came."""
    python = [pid for pid in processes.tree(o.pids) if _is_python(pid)]
    others = [pid for pid in processes.tree(o.pids) if pid not in python]
    found: Folded = Counter()
    # bench_update.py makes its messages before it sends the first
    preparing = SETTLING if o.path == "query" else SETTLING + int((o.data / "meta").read_text().split()[0]) * 0.0002
    words = load(o, SECONDS + preparing + 3)
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as asking,
    ):
        try:
            time.sleep(preparing)
            before = {pid: processes.cpu([pid]) for pid in others}
            spies = {pid: _spy(o.py_spy, pid, Path(folder)) for pid in python}
            for spy in spies.values():
                spy.wait(SECONDS + ENDING)
            failed = [processes.title(pid) for pid, spy in spies.items() if spy.returncode]
            if failed:
                print(f"flame: py-spy could not look at {', '.join(failed)}", file=sys.stderr)
            for pid in others:
                used = processes.cpu_between(before[pid], processes.cpu([pid]))
                name = _POSTGRES.search(processes.title(pid))
                found[(name[0] if name else processes.title(pid)[:60] or "ended",)] += round(used * RATE)
        finally:
            asking.kill()
        for pid in python:
            raw = Path(folder) / str(pid)
            if raw.exists():
                name = re.search(r"(ddns\.worker|zone_signer|ddns)", processes.title(pid))
                for frames, samples in read(raw.read_text()).items():
                    found[(name[0] if name else "python", *frames)] += samples
    return found


def _is_python(pid: int) -> bool:
    try:
        return (processes.PROC / str(pid) / "exe").readlink().name.startswith("python")
    except OSError:
        return False


def _spy(program: str, pid: int, folder: Path) -> subprocess.Popen[bytes]:
    words = [program, "record", "--pid", str(pid), "--format", "raw", "--output", str(folder / str(pid)), "--function"]
    words += ["--duration", str(round(SECONDS)), "--rate", str(RATE), "--native"]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", choices=("query", "update", "draw"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--title", help="above the picture")
    parser.add_argument("--port", type=int)
    parser.add_argument("--pids", type=processes.read_pids, default=[], help="the server's: 12,34 or @FILE")
    parser.add_argument("--data", type=Path, help="what the server was started on")
    parser.add_argument("--harness", type=Path, help="the folder of bench_update.py")
    parser.add_argument("--load-cpu", default="1")
    parser.add_argument("--py-spy", default="py-spy")
    o = parser.parse_args()
    titles = {"query": "Questions over UDP", "update": "SIG(0) updates of 32 clients", "draw": "CPU time"}
    if o.path == "draw":
        found = read(sys.stdin.read())
    else:
        if not (o.pids and o.port and o.data and (o.harness or o.path == "query")):
            parser.error("say with --port, --pids, --data and --harness which server it is")
        os.environ["PATH"] += f":{Path(sys.executable).parent}"
        found = record(o)
    if not sum(found.values()):
        sys.exit("flame: nothing ran, or py-spy may not look at it")
    o.out.write_text(draw(found, o.title or titles[o.path]))
    print(f"{o.out}: {sum(found.values()):,} samples")


if __name__ == "__main__":
    main()
