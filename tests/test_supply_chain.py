"""What is installed is what was pinned, byte for byte."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pins(file: Path) -> dict[str, str]:
    """Versions by name, as PyPI compares names."""
    found = re.findall(r"^([\w.-]+)==([^\s\\]+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_every_pin_has_its_hashes():
    hashed = ROOT / ".ci" / "requirements.txt"
    assert pins(hashed).items() >= pins(ROOT / "constraints.txt").items()
    for entry in re.split(r"\n(?=\S)", hashed.read_text(encoding="utf-8").strip()):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
