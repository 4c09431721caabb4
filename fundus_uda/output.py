"""What every command tells on stderr: progress, notes, and problems that are alike."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

ESTIMATED_AFTER = 10
"""Number of steps after which the time of all of them is estimated."""
LINES, FEWEST_STEPS, MOST_STEPS = 20, 10, 100
"""Number of lines about a loop where there is no terminal, and the least and the largest number of
steps between two of them."""

Item = TypeVar("Item")
Told = Literal["nothing", "notes", "details"]
_part: ContextVar[str] = ContextVar("part", default="")
_further: ContextVar[float] = ContextVar("further", default=0.0)
_told: ContextVar[Told] = ContextVar("told", default="notes")


@contextmanager
def part(title: str, further: float = 0.0) -> Iterator[None]:
    """Put a title, such as "stage 1 of 2", before those of all progress inside.

    Args:
        title: title of the part.
        further: work that follows the part, in steps of the loop inside, whose estimate of the time
            counts it.
    """
    tokens = _part.set(f"{_part.get()}{title}, "), _further.set(_further.get() + further)
    try:
        yield
    finally:
        _part.reset(tokens[0])
        _further.reset(tokens[1])


def quietly() -> AbstractContextManager[None]:
    """Show no progress and no notes inside."""
    return _telling("nothing")


def verbosely() -> AbstractContextManager[None]:
    """Show details inside, and a line for each step, on a terminal too."""
    return _telling("details")


@contextmanager
def _telling(what: Told) -> Iterator[None]:
    token = _told.set(what)
    try:
        yield
    finally:
        _told.reset(token)


def tells_details() -> bool:
    """Check whether this is inside `verbosely`."""
    return _told.get() == "details"


class Progress:
    """Progress of a loop on stderr: a bar on a terminal, else a line every so many steps.

    After `ESTIMATED_AFTER` steps, a line says how long all of them will take. Inside `quietly`,
    nothing is shown, and inside `verbosely` a line for every step.

    Args:
        title: title of the loop.
        total: number of its steps.
        done: number of steps done before.
    """

    def __init__(self, title: str, total: int, done: int = 0) -> None:
        self.title, self.total, self.first = f"{_part.get()}{title}", total, done
        self.further = _further.get()
        self.every = min(max(total // LINES, FEWEST_STEPS), MOST_STEPS)
        self.started = 0.0
        self.bar: Bar | None = None
        if sys.stderr.isatty() and _told.get() == "notes":
            self.bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[text]}"),
                console=Console(stderr=True),
            )
            self.task = self.bar.add_task(self.title, total=total, completed=done, text="")

    def __enter__(self) -> "Progress":
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def update(self, done: int, text: str = "") -> None:
        """Tell that `done` steps are done; `text` says how, for example the losses."""
        if done == self.first + 1:  # the first step is longer than the others, and not counted
            self.started = time.monotonic()
        elapsed, counted = time.monotonic() - self.started, done - self.first - 1
        estimate = counted == ESTIMATED_AFTER - 1 and done < self.total
        if self.bar is not None:
            self.bar.update(self.task, completed=done, text=text)
            if estimate:
                left = self._left(elapsed / counted, done, f" for {self.total - done} steps")
                told = f"{self.title}: about {left}"
                self.bar.console.print(told, highlight=False)
        elif tells_details() or (
            counted >= ESTIMATED_AFTER - 1
            and (estimate or done % self.every == 0 or done == self.total)
        ):
            told = ", done" if done == self.total else ""
            if counted > 0 and not told:
                told = f", about {self._left(elapsed / counted, done, ' left')}"
            note(f"{self.title}: {done} of {self.total}{told}" + (f"  {text}" if text else ""))

    def _left(self, seconds: float, done: int, what: str = "") -> str:
        """Write the time that is left at so many seconds per step, and that of all that follows."""
        left = self.total - done
        told = f"{in_words(seconds * left)}{what}"
        if self.further:
            told += f" (with all that follows: {in_words(seconds * (left + self.further))})"
        return told


def progress(items: Iterable[Item], title: str, total: int) -> Iterator[Item]:
    """Yield the items, and tell how many of them have been worked on."""
    with Progress(title, total) as shown:
        for done, item in enumerate(items, start=1):
            yield item
            shown.update(done)


def in_words(seconds: float) -> str:
    """Write a duration as "40 s", "12 min" or "3 h 20 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def note(text: str) -> None:
    """Print a line to stderr, where it does not mix with results, unless inside `quietly`."""
    if _told.get() != "nothing":
        print(text, file=sys.stderr, flush=True)


def detail(text: str) -> None:
    """Print a line as `note` does, inside `verbosely` alone."""
    if tells_details():
        note(text)


def group_alike(problems: Iterable[tuple[str, tuple[Path, ...]]]) -> list[str]:
    """Write problems that differ in their files alone as the first, with a count and names.

    Args:
        problems: text of each problem, and the files that it may name.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for text, files in problems:
        alike = text
        for number, file in enumerate(files):
            alike = alike.replace(str(file), f"<{number}>")
        groups.setdefault(alike, []).append((text, files[-1].name if files else ""))
    return [
        text + (f" The same of {_names([name for _, name in others])}." if others else "")
        for (text, _), *others in groups.values()
    ]


def _names(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{len(names)} other{'s' if len(names) > 1 else ''}: {', '.join(names[:5])}{more}"


def note_passed_over(files: Iterable[Path], named: bool = True) -> None:
    """Print a line about the files of a folder that are not read, but for folders and hidden ones.

    Args:
        files: files that have no known suffix.
        named: whether their names may be printed.
    """
    names = [f.name for f in files if not f.is_dir() and not f.name.startswith(".")]
    if not names:
        return
    shown = ", ".join(ascii(name)[1:-1] for name in names[:8]) + (", ..." if names[8:] else "")
    told = f": {shown}" if named else ""
    note(f"Passed over, being no images: {len(names)} file{'s' if names[1:] else ''}{told}.")
