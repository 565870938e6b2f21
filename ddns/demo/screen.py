"""What the demo shows: steps with a tick, a sentence and lines to paste; at most 80 columns, plain when piped."""

from __future__ import annotations

import contextlib
import textwrap
import time
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

WIDTH = 80  # columns
_INDENT = "   "
_ASCII = str.maketrans(
    {"…": "...", "→": "->", "“": '"', "”": '"', "\N{NO-BREAK SPACE}": " "}
)  # for terminals that know no more


class Broken(Exception):
    """A step that did not hold; the message is one sentence."""


class Step:
    """A step that is being done: it ends with a *sentence* and *lines* that a person can paste."""

    def __init__(self) -> None:
        self.sentence = ""
        self.notes: tuple[str, ...] = ()
        self.lines: tuple[str, ...] = ()

    def held(self, sentence: str, *lines: str, notes: tuple[str, ...] = ()) -> None:
        """Say what happened; *notes* stand below it, *lines* below these, each a command that is not broken up."""
        self.sentence, self.lines, self.notes = sentence, lines, notes


class Screen:
    """The terminal, or whatever stdout is."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = min(console.width, WIDTH)
        wide = console.encoding.lower().startswith("utf")
        self._tick, self._cross, self._spinner = ("✓", "✗", "dots") if wide else ("+", "x", "line")
        self._spelling = {} if wide else _ASCII

    def title(self, text: str, sentence: str) -> None:
        """Begin."""
        self._console.print()
        self._console.print(Text(text, style="bold underline"))
        self.say(sentence)

    def chapter(self, text: str) -> None:
        """Head a group of steps."""
        self._console.print()
        self._console.print(Text(text, style="bold"))

    def say(self, sentence: str) -> None:
        """Print a paragraph."""
        self._console.print(Text(textwrap.fill(sentence.translate(self._spelling), self._width)), soft_wrap=True)

    @contextlib.contextmanager
    def step(self, doing: str) -> Iterator[Step]:
        """Show *doing* while the step is done, then its tick and words, or a cross and why."""
        started = time.monotonic()
        # The status line is redrawn in place; a pipe sees nothing of it.
        waiting = self._console.status(Text(f"{doing} …".translate(self._spelling), style="dim"), spinner=self._spinner)
        step = Step()
        try:
            with waiting if self._console.is_terminal else contextlib.nullcontext():
                yield step
        except Broken as broken:
            self._marked(self._cross, "bold red", str(broken), "")
            raise
        except Exception as error:
            sentence = f"This should not happen: {type(error).__name__}: {error}"
            self._marked(self._cross, "bold red", sentence, "")
            raise Broken(sentence) from error
        took = time.monotonic() - started
        self._marked(self._tick, "bold green", step.sentence, f" ({took:.1f}\N{NO-BREAK SPACE}s)" if took >= 1 else "")
        for note in step.notes:
            filled = textwrap.fill(
                note.translate(self._spelling),
                self._width,
                initial_indent=_INDENT,
                subsequent_indent=_INDENT,
                break_on_hyphens=False,
            )
            self._console.print(Text(filled, style="dim"), soft_wrap=True)
        for line in step.lines:
            self._console.print(Text(textwrap.indent(line, _INDENT), style="cyan"), soft_wrap=True)

    def _marked(self, mark: str, style: str, sentence: str, tail: str) -> None:
        filled = textwrap.fill(
            (sentence + tail).translate(self._spelling),
            self._width,
            initial_indent=_INDENT,
            subsequent_indent=_INDENT,
            break_on_hyphens=False,
        )
        text = Text(f" {mark} ", style=style)
        text.append(filled[len(_INDENT) :], style="default not bold")
        self._console.print(text, soft_wrap=True)
