"""No maker of hardware and no verifier has a name in the code: who they are is data."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "ddns"
FILES = sorted(
    path
    for folder in ("proof", "homes", "web", "store", "operator", "masa")
    for path in (ROOT / folder).rglob("*.py")
    if path.name != "words.py"  # fruits and animals, of which homes get their names
)
MAKERS = re.compile(
    r"\b(acme corp|zenith|infineon|intel|amd|nvidia|qualcomm|mediatek|broadcom|nxp|stmicro\w*|microchip|apple|google|"
    r"samsung|huawei|cisco|avm|netgear|tp-link|veraison|keylime|sev-snp|trustzone|optiga|azure|knox)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_maker_and_no_verifier_has_a_name_in_code(path):
    assert MAKERS.findall(path.read_text()) == []


def test_a_name_would_be_found():
    assert MAKERS.findall("if oem == 'Infineon':") == ["Infineon"]
