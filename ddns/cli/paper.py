"""How commands hand out invitations on paper: --qr in the terminal, --svg and --pdf in files that others cannot read.

The files are made before the invitations are: a folder that cannot be written to costs nobody a secret.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from ddns.cli import Failure
from ddns.operator.paper import pdf, qr, sheet, svg
from ddns.operator.paper.sheet import A_SHEET, Slip

Write = Callable[[Sequence[Slip]], None]
_Command = Callable[..., Any]


def paper_options(command: _Command) -> _Command:
    """Add --qr, --svg and --pdf, which arrive as `as_qr`, `svg_file` and `pdf_file`."""
    path = click.Path(path_type=Path, dir_okay=False)
    for option in (
        click.option("--pdf", "pdf_file", metavar="FILE", type=path, help="Write sheets of labels, 24 a page."),
        click.option("--svg", "svg_file", metavar="FILE", type=path, help="The same as SVG, a file per sheet."),
        click.option("--qr", "as_qr", is_flag=True, help="Show it as a QR code too."),
    ):
        command = option(command)
    return command


def show(line: str) -> None:
    """Print *line* as a QR code. Raises `Failure`."""
    try:
        click.echo(qr.terminal(qr.code(line), colours=sys.stdout.isatty()))
    except qr.TooLong as error:
        raise Failure(f"The invitation is shown as text only: {error}.") from None


@contextmanager
def sheets(svg_file: Path | None, pdf_file: Path | None, number: int) -> Iterator[Write]:
    """Make the files for *number* labels, and yield what writes them; where it fails they are taken away again.

    The second sheet of `a.svg` is `a-2.svg`. Raises `Failure`.
    """
    svgs = [] if svg_file is None else [_numbered(svg_file, at) for at in range(1, max(1, -(-number // A_SHEET)) + 1)]
    pdfs = [] if pdf_file is None else [pdf_file]
    made: list[tuple[Path, BinaryIO]] = []

    def write(slips: Sequence[Slip]) -> None:
        pages = sheet.pages(slips)
        drawn = dict(zip(svgs, (svg.draw(page).encode() for page in pages), strict=False))
        drawn.update((path, pdf.draw(pages)) for path in pdfs if pages)
        for path, file in made:
            try:
                file.write(drawn.get(path, b""))
                file.flush()
            except OSError as error:
                raise Failure(f"{path} cannot be written: {error.strerror or error}.") from None

    try:
        made.extend((path, _new(path)) for path in (*svgs, *pdfs))
        yield write
        for path, file in made:
            empty = file.tell() == 0  # fewer were invited than were asked for
            file.close()
            if empty:
                path.unlink()
    except BaseException as error:
        for path, file in made:
            file.close()
            path.unlink(missing_ok=True)
        if isinstance(error, qr.TooLong):
            raise Failure(f"The invitations do not fit on labels: {error}") from None
        raise


def _numbered(path: Path, at: int) -> Path:
    return path if at == 1 else path.with_name(f"{path.stem}-{at}{path.suffix}")


def _new(path: Path) -> BinaryIO:
    """Open a file that is not there yet, for nobody else to read: it will hold secrets."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
    except FileExistsError:
        raise Failure(f"{path} is there already; name another file, or remove it.") from None
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror or error}.") from None
