"""Invitations on paper: what is drawn, in the terminal, as SVG and as PDF, other people's programs read back equal."""

import csv
import re
import stat
import subprocess
from pathlib import Path

import pytest
from service import Service
from tools import need

from ddns.gateway.invitation import Invitation
from ddns.operator.paper import pdf, qr, sheet, svg
from ddns.operator.paper.sheet import A_SHEET, Slip

SECRET = bytes(range(32))


def line(number):
    home = b"\x05house\x05homes\x07example\x00"
    key = b"\x0dinvite-%06x\x05homes\x07example\x00" % number
    return Invitation(key, SECRET[number % 7 :] + SECRET[: number % 7], home, "ns1.homes.example", 53).to_text()


def slips(count):
    return [
        Slip(line(at), f"house-{at}.homes.example.", ("until 2027-01-01", "Keep it (secret) \\ here"))
        for at in range(count)
    ]


def read_back(picture):
    """Return what zbar reads in a picture, in any order."""
    done = subprocess.run(
        [need("zbarimg"), "--raw", "-q", "-Sdisable", "-Sqrcode.enable", picture],
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(done.stdout.split())


def rasterized(folder, document, name):
    """Return pictures of the pages of an SVG or PDF document, at 150 dots an inch."""
    path = folder / name
    path.write_bytes(document)
    if path.suffix == ".svg":
        png = folder / f"{path.stem}.png"
        subprocess.run(
            [need("rsvg-convert"), "-d", "150", "-p", "150", "-o", png, path], check=True, capture_output=True
        )
        return [png]
    subprocess.run([need("pdftoppm"), "-r", "150", "-gray", path, folder / path.stem], check=True, capture_output=True)
    return sorted(folder.glob(f"{path.stem}-*.pgm"))


def picture_of(text, path, scale=6):
    """Write lines of half blocks as the picture that a terminal shows, with the light ground that it has there."""
    rows = []
    for words in text.splitlines():
        rows.append([0 if block in "▀█" else 255 for block in words])
        rows.append([0 if block in "▄█" else 255 for block in words])
    body = b"".join(bytes(value for value in row for _ in range(scale)) * scale for row in rows)
    path.write_bytes(b"P5 %d %d 255\n" % (len(rows[0]) * scale, len(rows) * scale) + body)
    return path


def test_every_code_of_a_full_sheet_in_svg_is_read_back_equal(tmp_path):
    wanted = slips(A_SHEET)
    (page,) = sheet.pages(wanted)

    (picture,) = rasterized(tmp_path, svg.draw(page).encode(), "sheet.svg")

    assert read_back(picture) == sorted(one.says for one in wanted)


def test_every_code_of_two_sheets_in_pdf_is_read_back_equal(tmp_path):
    wanted = slips(A_SHEET + 1)
    pages = sheet.pages(wanted)

    first, second = rasterized(tmp_path, pdf.draw(pages), "sheets.pdf")

    assert read_back(first) == sorted(one.says for one in wanted[:-1])
    assert read_back(second) == [wanted[-1].says]


def test_the_words_on_a_sheet_are_read_by_a_reader_of_pdf(tmp_path):
    path = tmp_path / "words.pdf"
    path.write_bytes(pdf.draw(sheet.pages(slips(2))))

    done = subprocess.run([need("pdftotext"), "-layout", path, "-"], check=True, capture_output=True, text=True)

    assert "".join(done.stdout.split()).count("Keepit(secret)\\here") == 2
    assert done.stderr == ""


def test_a_code_in_the_terminal_is_read_back_equal(tmp_path):
    picture = picture_of(qr.terminal(qr.code(line(1)), colours=False), tmp_path / "terminal.pgm")

    assert read_back(picture) == [line(1)]


@pytest.mark.parametrize("length", [1, 160, qr.MOST])
def test_codes_of_all_sizes_are_read_back_equal(tmp_path, length):
    text = ("Az09-_:/?&" * (length // 10 + 1))[:length]

    assert read_back(picture_of(qr.terminal(qr.code(text), colours=False), tmp_path / "a.pgm")) == [text]


def test_a_code_for_more_text_than_paper_holds_is_refused():
    with pytest.raises(qr.TooLong, match="1501 octets"):
        qr.code("x" * (qr.MOST + 1))


def test_sheets_and_codes_are_not_printed_with_what_they_say():
    """A traceback or a log that shows one must not show the secret in it."""
    one = slips(1)[0]

    assert one.says not in repr(one)
    assert repr(qr.code(one.says)).endswith(" modules)")


def test_the_longest_names_stay_on_their_label():
    long = ".".join(["x" * 63] * 3 + ["y" * 61]) + "."

    (page,) = sheet.pages([Slip("a", long, (long, long))] * A_SHEET)

    assert all(0 < one.x < sheet.WIDTH and 0 < one.y < sheet.HEIGHT for one in page.words)
    ends = [one.x + len(one.text) * one.size * 0.6 * 25.4 / 72 for one in page.words]
    assert max(ends) <= sheet.WIDTH


@pytest.fixture(scope="module")
def service():
    """A folder of its own with a zone and no service."""
    one = Service()
    one.ddns("zone", "add", "homes.example")
    yield one
    one.remove()


def test_an_invitation_is_shown_and_written_as_codes_that_say_the_same_line(service, tmp_path):
    svg_file, pdf_file = tmp_path / "smith.svg", tmp_path / "smith.pdf"

    said = service.ddns("home", "invite", "smith", "--qr", "--svg", svg_file, "--pdf", pdf_file)

    text = next(words for words in said.splitlines() if words.startswith("ddns://"))
    code = "\n".join(words for words in said.splitlines() if set(words) <= set(" ▀▄█") and words)
    assert read_back(picture_of(code, tmp_path / "said.pgm")) == [text]
    assert read_back(rasterized(tmp_path, svg_file.read_bytes(), "again.svg")[0]) == [text]
    assert read_back(rasterized(tmp_path, pdf_file.read_bytes(), "again.pdf")[0]) == [text]
    assert stat.S_IMODE(svg_file.stat().st_mode) == stat.S_IMODE(pdf_file.stat().st_mode) == 0o600


def test_a_file_that_is_there_is_kept_and_nobody_is_invited(service, tmp_path):
    """The file is tried before the invitation is made: its secret would be lost."""
    there = tmp_path / "there.pdf"
    there.write_text("mine")

    said = service.ddns("home", "invite", "jones", "--svg", tmp_path / "new.svg", "--pdf", there, status=1)

    assert "is there already" in said
    assert there.read_text() == "mine"
    assert not (tmp_path / "new.svg").exists()
    assert "jones" not in service.ddns("home", "list")


def test_the_page_on_many_invitations_does_what_it_says(service, tmp_path):
    """The list and the command of docs/howto/invite-many.md: each label's code is the line in the CSV."""
    page = (Path(__file__).parents[2] / "docs/howto/invite-many.md").read_text()
    labels = re.search(r"```csv\n(.*?)```", page, re.DOTALL).group(1)
    (command,) = re.findall(r"^ddns (home invite --file .*)$", page, re.MULTILINE)
    (tmp_path / "homes.csv").write_text(labels)
    words = [str(tmp_path / word) if "." in word else word for word in command.split()]

    service.ddns(*words)
    rows = list(csv.DictReader((tmp_path / "lines.csv").read_text().splitlines()))
    (picture,) = rasterized(tmp_path, (tmp_path / "sheets.pdf").read_bytes(), "again.pdf")

    assert [one["home"].split(".")[0] for one in rows] == labels.split()[1:]
    assert read_back(picture) == sorted(one["invitation"] for one in rows)
    assert stat.S_IMODE((tmp_path / "sheets.pdf").stat().st_mode) == 0o600
    again = [word.replace("sheets.pdf", "anew.pdf").replace("lines.csv", "anew.csv") for word in words]
    service.ddns(*again)
    assert (tmp_path / "anew.csv").read_text() == (tmp_path / "lines.csv").read_text()
