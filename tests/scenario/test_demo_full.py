"""`ddns demo --full`: boxes bought, sold, stolen, claimed, replaced and lost, and two tenants, with the evidence."""

import re
import signal
import sys
from pathlib import Path

import pytest
from test_demo import family, serving, shell
from tools import need

STEPS = 30


@pytest.mark.timeout(1800)
def test_the_whole_story_holds_its_lines_can_be_pasted_and_it_leaves_nothing():
    """Every step has its tick; dig, openssl and curl say what is said; Ctrl-C removes all of it."""
    for program in ("dig", "openssl", "curl"):
        need(program)
    with serving("--full") as (process, said):
        assert "✗" not in said
        assert len(re.findall(r"^ ✓ ", said, re.MULTILINE)) == STEPS, said
        part = said.split("A maker bonds its boxes", 1)[1]
        lines = [
            line.replace("\\\n", "")
            for line in re.findall(r"^   ((?:dig|openssl|curl|DDNS_STATE\S+) (?:.*\\\n)*.*)$", part, re.MULTILINE)
        ]
        assert {line.split()[0].partition("=")[0] for line in lines} == {"dig", "openssl", "curl", "DDNS_STATE"}
        assert "now believes that 31 days have gone by" in " ".join(part.split())
        for line in dict.fromkeys(lines):
            status, answer = shell(line.replace(" ddns ", f" {sys.executable} -m ddns.cli "))
            assert status == 0, (line, answer)
            if line.startswith("dig"):
                assert "status: NOERROR" in answer, answer
                assert "ANSWER: 0" not in answer, answer
            if "verify" in line:
                assert ": OK" in answer
            if "cms" in line:
                assert "ietf-voucher" in answer
            if "history kay" in line:
                assert "grant-claim" in answer
        folder = re.search(r"/\S*ddns-demo-\w+", said)[0]

        process.send_signal(signal.SIGINT)

        assert process.wait(60) == 0
        assert not Path(folder).exists()
        assert not family(folder)
