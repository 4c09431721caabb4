"""Every random number is a function of (seed, what it is for, step or sample).

Nothing about randomness is therefore saved: a resumed step draws what it would have drawn.
"""

import hashlib

import torch


def derive_seed(*parts: int | str) -> int:
    """A seed in [0, 2**32) from any parts, the same on every machine and in every process."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big")


def seed_torch(*parts: int | str) -> None:
    """Seed torch's own generators (dropout, initial weights) on every device."""
    torch.manual_seed(derive_seed(*parts))
