"""The API against its own document, by schemathesis: whatever it thinks of, answers are what the document says.

Three askers: an operator with all rights, one who may only read homes, and nobody.
"""

import subprocess
import sys

import pytest
from desk import SETTINGS, Desk

from ddns.web.rights import EVERY

FUZZ = f"{SETTINGS}token_burst = 100000\ntoken_rate = 100000\n"


@pytest.fixture(scope="module")
def desk():
    with Desk(settings=FUZZ).running() as desk:
        yield desk


@pytest.mark.timeout(900)
@pytest.mark.parametrize("who", ["operator", "reader", "nobody"])
def test_every_answer_is_as_the_document_says(desk, who, tmp_path):
    rights = {"operator": sorted(EVERY), "reader": ["homes:read"], "nobody": []}[who]
    headers = ["-H", f"Authorization: Bearer {desk.token(*rights)}"] if rights else []
    # Signed messages, cursors and names have rules that no JSON Schema says, so what fits the schema may be refused;
    # and who may not ask at all is told so before what he sends is read.
    without = ["positive_data_acceptance", *(["negative_data_rejection"] if who != "operator" else [])]
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{desk.url}/v1/openapi.json", "--tls-verify", "false",
        "--phases", "examples,coverage,fuzzing,stateful", "--checks", "all", "--exclude-checks", ",".join(without),
        "--max-examples", "15", "--seed", "1", "--no-color", "--continue-on-failure",
        "--exclude-path", "/v1/imports",  # it cannot write lines of JSON; tests of its own do
        *headers,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=800)

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    assert "our-fault" not in done.stdout
    assert "request.failed" not in desk.log.read_text()
