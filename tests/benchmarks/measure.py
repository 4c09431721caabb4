"""Ratios of CPU seconds within one run, and their table."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import median

Work = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """A line of the table: the median seconds of some work, and its ratio to other work."""

    what: str
    seconds: float
    ratio: float
    of: str
    """What the ratio is of."""


def seconds(work: Work) -> float:
    """CPU seconds of this process and all its threads, which other work disturbs least."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(what: str, work: Work, of: str, other: Work, pairs: int = 7) -> Row:
    """Measure two works in turn, after one of each until memory is reused; take medians."""
    work(), other()
    measured = [(seconds(work), seconds(other)) for _ in range(pairs)]
    return Row(what, median(a for a, _ in measured), median(a / b for a, b in measured), of)


def as_markdown(rows: Iterable[Row]) -> Iterator[str]:
    """Format the rows as the lines of a Markdown table, as they come."""
    yield from ("| what | CPU seconds | ratio | of |", "|---|---|---|---|")
    for row in rows:
        yield f"| {row.what} | {row.seconds:.4f} | {row.ratio:.2f} | {row.of} |"
