"""Parts of an archive, by the hashes of the ids."""

import hashlib
import os
from dataclasses import dataclass

from fundus_uda.clinic.listing import PhotographFile
from fundus_uda.errors import InputError


@dataclass(frozen=True)
class Part:
    """Part `number` (from 1) of `count` parts, written "2/8".

    The hash of a photograph's id says to which one it belongs, so that parts stay the same where
    photographs are added.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, files: list[PhotographFile]) -> list[PhotographFile]:
        """Return the photographs that belong to this part.

        Raises:
            InputError: none does.
        """
        own = [file for file in files if _place(file.id) % self.count == self.number - 1]
        if not own:
            raise InputError(
                f"Expected photographs in part {self} of {len(files)}. Got: none. Make fewer parts."
            )
        return own


def parse_part(text: str) -> Part:
    """Read a part such as "2/8".

    Raises:
        InputError: another form, or a number that is not among the parts.
    """
    number, _, count = text.partition("/")
    if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
        return Part(int(number), int(count))
    raise InputError(f"Expected a part I/N with I from 1 to N, for example 2/8. Got: {text!r}.")


def _place(id_: str) -> int:
    return int.from_bytes(hashlib.sha256(os.fsencode(id_)).digest()[:8])
