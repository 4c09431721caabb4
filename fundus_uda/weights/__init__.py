"""The network that comes with the package: it learnt from rendered eyes alone."""

from pathlib import Path

RENDERED = Path(__file__).with_name("rendered.safetensors")
"""File of the network, a MODEL for every command (see README.md beside it)."""
