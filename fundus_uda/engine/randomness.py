"""Random numbers as functions of (seed, purpose, step or sample).

No random state is therefore saved: a resumed step draws the numbers of an unbroken run.
"""

import hashlib

import torch


def derive_seed(*parts: int | str) -> int:
    """Derive a seed in [0, 2**32) from any parts, the same on all machines and in all processes."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big")


def seed_torch(*parts: int | str) -> None:
    """Seed torch's own generators (dropout, initial weights) on every device."""
    torch.manual_seed(derive_seed(*parts))
