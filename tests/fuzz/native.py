"""Build the libFuzzer target of a native module with clang, under AddressSanitizer and UBSan, and run it.

    python tests/fuzz/native.py --seconds 60                 # the twin of the hot path, ddns.answer._native
    python tests/fuzz/native.py --module dns --seconds 60    # what reads and writes octets, ddns.dns._native

What fails is written to --corpus as `crash-…`; keep its octets as those of any target.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import dns.edns
import fuzzing
from asking import query

import ddns

ROOT = fuzzing.TESTS.parent
INSTALLED = Path(ddns.__file__).parents[1]  # which an editable installation finds by a hook that is not run in there
SANITIZERS = "fuzzer,address,undefined"
TARGETS = {"answer": "native_target", "dns": "native_octets_target"}  # of each module, what feeds it
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--module", choices=TARGETS, default="answer", help="whose native module it is")
    parser.add_argument("--seconds", type=int, default=60, help="how long it runs at most")
    parser.add_argument("--runs", type=int, help="how many inputs it gets, the same ones every time")
    parser.add_argument("--corpus", type=Path, help="a folder for the corpus")
    return parser.parse_args()


def cookied():
    """Yield questions with nothing but a cookie: without and with the server's part, which is wrong."""
    for length in (8, 24):
        for name in ("www.signed.test.", "nothing.signed.test."):
            yield query(name, do=True, options=[dns.edns.GenericOption(10, b"c" * length)])


def seeds(module):
    """Yield the inputs from which those of *module* are made."""
    for name in ("message",) if module == "answer" else ("update", "tsig", "sig0", "names"):
        yield from fuzzing.target(name).seeds()
        yield from fuzzing.kept(name).values()
    if module == "answer":
        yield from cookied()


def build(module, program):
    """Compile the sources of *module* and the target against the Python that runs this."""
    library = Path(sysconfig.get_config_var("LIBDIR"))
    include = sysconfig.get_path("include")
    sources = [*sorted((ROOT / "ddns" / module / "native").glob("*.c")), ROOT / "tests/fuzz/native.c"]
    how = ["-g", "-O1", "-std=c11", "-D_GNU_SOURCE", f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=undefined"]
    how += [f'-DTARGET="{TARGETS[module]}"']
    link = [f"-L{library}", f"-Wl,-rpath,{library}", f"-lpython{sysconfig.get_config_var('LDVERSION')}", "-lm", "-ldl"]
    command = [os.environ.get("CLANG", "clang"), *how, *WARNINGS, "-isystem", include, *sources, "-o", program, *link]
    subprocess.run(command, check=True)


def main():
    asked = arguments()
    with tempfile.TemporaryDirectory() as scratch:
        corpus = asked.corpus or Path(scratch) / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        for number, octets in enumerate(seeds(asked.module)):
            (corpus / f"seed{number}").write_bytes(octets)
        program = Path(scratch) / "native"
        build(asked.module, program)
        how = [f"-max_total_time={asked.seconds}", f"-max_len={fuzzing.LONGEST}", "-len_control=0", "-timeout=10"]
        how += [] if asked.runs is None else [f"-runs={asked.runs}", "-seed=1"]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                one for one in [str(fuzzing.TESTS / "fuzz"), *sys.path, str(INSTALLED)] if one
            ),
            "PYTHONMALLOC": "malloc",  # so that AddressSanitizer sees each object's end
            "ASAN_OPTIONS": "detect_leaks=0",  # Python keeps what it has at its end
        }
        done = subprocess.run([program, *how, f"-artifact_prefix={corpus}/", corpus], env=environment, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
