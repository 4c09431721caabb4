"""The page to look through: one self-contained `report.html` of what `predict` wrote."""

from pathlib import Path


def write_report(out: Path, before: Path | None = None) -> None:
    """Not written yet."""
