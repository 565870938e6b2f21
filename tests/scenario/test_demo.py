"""`ddns demo` as a newcomer runs it."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tools import need

TIMEOUT = 150.0  # seconds


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DDNS_", "PG", "COLUMNS"))}
    return kept | {"PYTHONIOENCODING": "utf-8"} | more


def family(folder):
    """Return the pids of processes that have *folder* on their command line."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in path.read_bytes():
                found.add(int(path.parent.name))
    return found


@contextlib.contextmanager
def serving(*words, **more):
    """Run the demo until its last step is done; yield the process and what it has said so far."""
    # Tests that run in the background of a shell are started with SIGINT ignored, which children would inherit.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "ddns.cli", "demo", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(PYTHONUNBUFFERED="1", **more),
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        try:
            said = ""
            for line in process.stdout:
                said += line
                if "keeps serving" in line:
                    break
            assert "keeps serving" in said, said
            yield process, said
        finally:
            process.kill()


def test_once_tells_the_story_and_leaves_nothing_behind(tmp_path):
    """Every step has its tick, in plain text of 80 columns; status 0, no process, no file."""
    done = subprocess.run(
        [sys.executable, "-m", "ddns.cli", "demo", "--once"],
        capture_output=True,
        env=environment(HOME=str(tmp_path)),
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert len(re.findall(r"^ ✓ ", done.stdout, re.MULTILINE)) == 10
    assert "✗" not in done.stdout
    assert re.search(r"visible \d+(\.\d)? ms after", " ".join(done.stdout.split()))
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout
    folder = Path(re.search(r"/\S*ddns-demo-\w+", done.stdout)[0])
    assert not folder.exists()
    assert not folder.with_name(f"{folder.name}.log").exists()
    assert not family(folder)
    assert list(tmp_path.iterdir()) == []


def test_the_lines_can_be_pasted_while_it_serves_and_ctrl_c_ends_it():
    """Each dig, delv, nsupdate and openssl line does what it says; then everything goes."""
    for program in ("dig", "delv", "nsupdate", "openssl"):
        need(program)
    with serving() as (process, said):
        lines = pasteable(said)
        for wanted in ("dig", "delv", "printf", "openssl"):
            assert any(line.startswith(wanted) for line in lines), said
        answers = {line: shell(line) for line in lines if not line.startswith("DDNS_STATE")}
        for line, (status, answer) in answers.items():
            if line.startswith("dig"):
                assert "status: NOERROR" in answer, answer
                assert "ANSWER: 0" not in answer, answer
            elif line.startswith("delv") and " AAAA" in line:
                assert "; fully validated" in answer, answer
            elif line.startswith("delv"):
                assert "resolution failed" in answer, answer
            elif line.startswith("printf"):
                assert (status, answer) == (0, ""), answer
            elif line.startswith("openssl"):
                assert "DANE TLSA 3 1 1" in answer, answer
                assert "matched" in answer, answer
        folder = re.search(r"/\S*ddns-demo-\w+", said)[0]

        process.send_signal(signal.SIGINT)

        assert process.wait(60) == 0
        assert not Path(folder).exists()
        assert not family(folder)


def pasteable(said):
    """Return the commands under the steps, continued lines joined as a shell would."""
    lines, current = [], ""
    for line in said.splitlines():
        if current or re.match(r"   (dig|delv|printf|openssl|DDNS_STATE)", line):
            current += line.removeprefix("   ") + "\n"
            if not line.endswith(("\\", "|")):
                lines.append(current.strip())
                current = ""
    return lines


def shell(line):
    done = subprocess.run(
        ["sh", "-c", line],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_killed_demo_takes_its_processes_along():
    """SIGKILL gives no time to clean up: the registry and its database end all the same."""
    with serving() as (process, said):
        folder = Path(re.search(r"/\S*ddns-demo-\w+", said)[0])
        assert family(folder)

        process.kill()
        process.wait()

        end = time.monotonic() + 30
        while family(folder):
            assert time.monotonic() < end, family(folder)
            time.sleep(0.1)
    shutil.rmtree(folder)


def test_ports_in_use_and_a_long_temporary_folder_do_not_matter(tmp_path):
    """It finds others."""
    long = tmp_path / ("long-" * 20)
    long.mkdir()
    with contextlib.ExitStack() as stack:
        for port in (5300, 5301, 5302, 5303):
            taken = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            with contextlib.suppress(OSError):
                taken.bind(("127.0.0.1", port))

        done = subprocess.run(
            [sys.executable, "-m", "ddns.cli", "demo", "--once"],
            cwd=long,
            capture_output=True,
            env=environment(TMPDIR=str(long), PATH=str(Path(sys.executable).parent)),
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert not any(f"port {port}," in done.stdout for port in (5300, 5301, 5302, 5303))


def test_a_registry_that_dies_is_a_cross_a_sentence_and_a_log():
    """Status 1, and the log stays when everything else goes."""
    with serving() as (process, said):
        folder = Path(re.search(r"/\S*ddns-demo-\w+", said)[0])
        (supervisor,) = [pid for pid in family(folder) if b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes()]

        os.kill(supervisor, signal.SIGKILL)

        assert process.wait(60) == 1
        rest = process.stdout.read()
        log = Path(re.search(r"log is (\S+)", rest)[1])
        assert "Traceback" not in rest
        assert log.read_text()
        assert not folder.exists()
        log.unlink()
