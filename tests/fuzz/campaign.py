"""Run a fuzz target, or all of them, under atheris, which looks for octets that reach new code.

    python tests/fuzz/campaign.py message --seconds 60

The corpus that grows is kept in --corpus and can be used again. What fails is written there as `crash-…` and its octets
are shown; keep them in tests/vectors/seeds/TARGET/WHAT-IT-SHOWED.hex when the fault is mended.
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import fuzzing

SLOWEST = 10  # seconds that one input may take


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(fuzzing.TARGETS)}; default: all")
    parser.add_argument("--seconds", type=int, default=60, help="how long each target runs at most")
    parser.add_argument("--runs", type=int, help="how many inputs each target gets, the same ones every time")
    parser.add_argument("--corpus", type=Path, help="a folder for the corpora, one below it for each target")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def show(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def one(name, asked):
    """Fuzz the target *name* in this process, which atheris ends."""
    import atheris  # noqa: PLC0415 - not on every platform

    corpus = asked.corpus
    with atheris.instrument_imports(include=["ddns"]):
        target = fuzzing.target(name)

    def once(octets):
        target.judge(octets, target.work(octets))

    for number, octets in enumerate((*target.seeds(), *fuzzing.kept(name).values())):
        (corpus / f"seed{number}").write_bytes(octets)
    how = [f"-max_total_time={asked.seconds}", f"-timeout={SLOWEST}", f"-max_len={fuzzing.LONGEST}"]
    how += ["-print_final_stats=1"] if asked.runs is None else [f"-runs={asked.runs}", "-seed=1"]
    atheris.Setup([sys.argv[0], *how, f"-artifact_prefix={corpus}/", "-verbosity=0", str(corpus)], once)
    atheris.Fuzz()


def main():
    asked = arguments()
    if asked.here:
        one(asked.targets[0], asked)
    if importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is not installed; it is in the group dev where there is one for this platform")
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in asked.targets or fuzzing.TARGETS:
            corpus = (asked.corpus or Path(scratch)) / name
            corpus.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, __file__, name, "--here", "--seconds", str(asked.seconds), "--corpus", corpus]
            command += [] if asked.runs is None else ["--runs", str(asked.runs)]
            show(f"== {name}")
            if subprocess.run(command, check=False).returncode:
                failed.append(name)
                for crash in sorted(corpus.glob("crash-*")):
                    show(f"{name}: {crash.read_bytes().hex()}")
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
