"""The simulation of a storm, small, against the real service: homes made, brought in, and all of them heard."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from service import Service, eventually

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
HOMES = 108  # the 7th and 107th have wrong clocks, the 8th a wrong key, the 108th a signature that is not its key's


@pytest.fixture(scope="module")
def service():
    """Yield a service with homes that `make_homes.py` made and `ddns home import` brought in."""
    running = Service("--workers", "1")
    try:
        made = running.folder / "homes"
        script(running, "make_homes.py", HOMES, "--out", made, "--nx", 10, "--queries", 10, "--jobs", 1)
        running.apply(script(running, "registry_file.py", made))
        running.start()
        eventually(lambda: running.signed("homes.example."))
        running.ddns("home", "import", "--registry", "homes.example.", "--jobs", 1, made / "homes.jsonl")
        yield running
        running.stop()
    finally:
        running.remove()


def script(service, *words):
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / words[0]), *map(str, words[1:])],
        env=service.environment() | {"PYTHONSAFEPATH": ""}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_good_homes_are_done_wrong_clocks_are_told_the_time_and_wrong_keys_are_refused(service):
    """What is confirmed is served and validates, and nobody who asks meanwhile is left without an answer."""
    out = service.folder / "storm.json"

    script(
        service, "storm", "--server", f"127.0.0.1:{service.port}", "--homes", HOMES, "--minutes", 0.1, "--rate", 100,
        "--warm", 1, "--questions", 100, "--load-cpus", "0,1", "--pids", service.process.pid, "--json", out,
    )  # fmt: skip

    found = json.loads(out.read_text())
    assert (found["good_done"], found["clocks_done"], found["unproved_time"]) == (104, 2, 0)
    assert found["refused"] == {"key sig0-key-unknown": 1, "key sig0-signature-wrong": 1}
    assert (found["checked"], found["faults"]) == (50, 0), found["first_fault"]
    assert (found["questions"]["answered"], found["questions"]["failed"]) == (600, 0)
    assert found["server_cpu_s"] > 0
