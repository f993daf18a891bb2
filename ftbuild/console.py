"""The one place that prints.  Results go to stdout; progress and notes go to stderr, so that stdout can be piped.

Colours and bars appear only on a terminal; elsewhere each step is one plain line.  With `--json`, stdout holds one JSON
document and nothing else.  Rich is imported when there is something to draw, so that a build with nothing to do is quick.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

_LONG = 2.0  # seconds between the plain lines that tell how far a step is, where there is no terminal to draw a bar on


class Bar(Protocol):
    """Something that can be told how far a step is."""

    def __call__(self, done: float, total: float, **facts: str) -> None:
        """Say that `done` of `total` is done, with facts such as `loss="0.31"` to show beside it."""


@dataclass
class Console:
    """Prints for one run.  `quiet` leaves out progress and notes; `as_json` keeps stdout for one JSON document."""

    as_json: bool = False
    quiet: bool = False
    _gathered: list[Any] | None = None

    def result(self, text: str = "") -> None:
        """Print a line of the result."""
        if not self.as_json:
            self._flush_print(text, sys.stdout)

    def lines(self, text: str) -> None:
        """Print a line of a diff: red for what goes, green for what comes, dim for where it is."""
        style = {"-": "red", "+": "green", "@": "cyan"}.get(text.lstrip()[:1], "dim")
        if self.as_json:
            return
        if sys.stdout.isatty():
            from rich.text import Text

            self._rich(stderr=False).print(Text(text, style=style))
        else:
            self._flush_print(text, sys.stdout)

    def paragraph(self, text: str) -> None:
        """Print a line of the result that may be longer than the screen is wide, broken between words."""
        import shutil
        import textwrap

        wide = min(shutil.get_terminal_size().columns, 120)
        self.result(textwrap.fill(text, wide, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))

    def table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *,
        styles: Sequence[str] = (), right: Container[int] = (),
    ) -> None:  # fmt: skip
        """Print a table of the result.  `styles` are Rich styles for the columns; those numbered in `right` hold numbers."""
        if self.as_json:
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold", expand=False)
        for n, column in enumerate(columns):
            style = styles[n] if n < len(styles) else ""
            table.add_column(column, style=style, overflow="fold", justify="right" if n in right else "left")
        for row in rows:
            table.add_row(*map(Text, row))  # a text with brackets is no markup of Rich's
        self._rich(stderr=False).print(table)

    def json(self, value: Any) -> None:
        """Print the one JSON document of a run with `--json`."""
        if self._gathered is not None:
            self._gathered.append(value)
            return
        self._flush_print(json.dumps(value, ensure_ascii=False, indent=1), sys.stdout)

    @contextlib.contextmanager
    def gathering(self) -> Iterator[None]:
        """Make one document, a list, of all that are printed meanwhile."""
        gathered: list[Any] = []
        self._gathered = gathered
        try:
            yield
        finally:
            self._gathered = None
        if self.as_json:
            self.json(gathered)

    def note(self, text: str) -> None:
        """Say something on the side."""
        if not self.quiet:
            self._side(f"  {text}", "dim")

    def heading(self, text: str, aside: str = "") -> None:
        """Open the part of the output that belongs to one stage."""
        if not self.quiet:
            self._side(f"{text:<10} {aside}".rstrip(), "bold" if not aside else "")

    def warn(self, text: str) -> None:
        """Say something that the user should look at."""
        self._side(f"warning: {text}", "yellow")

    def error(self, text: str, hint: str = "") -> None:
        """Print an error, one line for each problem, and what to do about it."""
        for line in text.splitlines():
            self._side(f"error: {line}", "bold red")
        if hint:
            self._side(f"  hint: {hint}", "")

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[Bar]:
        """Show that something is going on, and how far it is once the yielded bar is told."""
        if self.quiet:
            yield _silent
        elif sys.stderr.isatty():
            with self._drawn(text) as bar:
                yield bar
        else:
            yield self._plain(text)

    @contextlib.contextmanager
    def _drawn(self, text: str) -> Iterator[Bar]:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("[dim]{task.fields[facts]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._rich(stderr=True), transient=True) as progress:
            task = progress.add_task(text, total=None, facts="")

            def bar(done: float, total: float, **facts: str) -> None:
                shown = "  ".join(f"{k} {v}" for k, v in facts.items())
                progress.update(task, completed=done, total=total, facts=shown)

            yield bar

    def _plain(self, text: str) -> Bar:
        last = time.monotonic()

        def bar(done: float, total: float, **facts: str) -> None:
            nonlocal last
            if (now := time.monotonic()) - last >= _LONG * 5 or done >= total > 0:
                last = now
                shown = "  ".join(f"{k} {v}" for k, v in facts.items())
                self._side(f"  {text}: {done:g} of {total:g}  {shown}".rstrip(), "")

        return bar

    def _rich(self, *, stderr: bool) -> RichConsole:
        from rich.console import Console as RichConsole

        return RichConsole(stderr=stderr, highlight=False, soft_wrap=False)

    def _side(self, text: str, style: str) -> None:
        if style and sys.stderr.isatty():
            from rich.text import Text

            self._rich(stderr=True).print(Text(text, style=style))
        else:
            self._flush_print(text, sys.stderr)

    @staticmethod
    def _flush_print(text: str, stream: Any) -> None:
        with contextlib.suppress(BrokenPipeError):
            print(text, file=stream, flush=True)


def _silent(done: float, total: float, **facts: str) -> None:
    pass


def seconds(value: float) -> str:
    """Write a duration as a person would: `0.4 s`, `38 s`, `4 min 05 s`."""
    if value < 10:  # noqa: PLR2004
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
