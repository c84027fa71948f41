"""Progress bars on standard error; plain lines every few seconds where there is no terminal."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SECONDS_BETWEEN_LINES = 15.0


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yield ``tick(done, total)`` that moves a bar called ``title``."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(title)
        return
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=None, note="")
        yield lambda done, total: progress.update(task, completed=done, total=total)


class _Lines:
    """Writes a line at most every few seconds, and the last one."""

    def __init__(self, title: str) -> None:
        self._title, self._last = title, time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        import click

        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            click.echo(f"{self._title}: {done}/{total}", err=True)


class EpochBar:
    """A ``TrainingLog`` that shows epochs in a bar and remembers nothing."""

    def __init__(self, tick: Callable[[int, int], None]) -> None:
        self._tick = tick

    def epoch(self, number: int, of: int, figures: Mapping[str, float]) -> None:
        """Move the bar to epoch ``number`` of ``of``."""
        self._tick(number, of)
