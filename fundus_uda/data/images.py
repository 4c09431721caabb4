"""The dataset that the engine asks for, made of samples and transforms."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from torch import Tensor

from fundus_uda.data.photograph_files import read_sample
from fundus_uda.data.pipeline import Pipeline
from fundus_uda.data.samples import Sample
from fundus_uda.data.sizes import Drawn, SizeDraw
from fundus_uda.data.transforms import fixed_transforms
from fundus_uda.engine.batches import SampleKey
from fundus_uda.engine.randomness import derive_seed
from fundus_uda.errors import InputError
from fundus_uda.masks.classes import BACKGROUND
from fundus_uda.output import note, progress

OUTLINED_SHARE = 0.25
"""Share of the draws that take one of the outlined photographs of the target: 2 in a batch of 8."""
THREADS = 2
"""Number of photographs that are read, at their full size, at once."""
LARGE_CACHE = 1.0
"""Size of a cache, in gigabytes, above which a line says it."""


class FundusImages:
    """Photographs at network size, cached in memory as uint8, with transforms by seed.

    Implements `engine.batches.SeededDataset`. The cache holds the output of the deterministic
    transforms only, so a sample depends on its key alone.
    """

    def __init__(self, samples: list[Sample], size: int, then: Pipeline) -> None:
        """Read and cache all samples.

        Raises:
            InputError: see `read_sample`; or there are masks and none shows a disc.
        """
        fixed = fixed_transforms(size)
        channels = sum(4 if sample.masks else 3 for sample in samples)
        if (gigabytes := channels * size**2 / 1e9) > LARGE_CACHE:
            note(
                f"{len(samples)} photographs of {size}x{size} pixels are kept in memory: "
                f"{gigabytes:.1f} GB."
            )
        with ThreadPoolExecutor(THREADS) as pool:
            done = pool.map(lambda sample: fixed(read_sample(sample)), samples)
            self.cached = list(progress(done, "photographs read", len(samples)))
        self.ids = [sample.id for sample in samples]
        labels = [item["label"] for item in self.cached if "label" in item]
        if labels and not any((label != BACKGROUND).any() for label in labels):
            raise InputError(
                f"Expected an optic disc in the masks of the photographs to learn from. Got: "
                f"{len(labels)} masks without one, of which the first is {samples[0].masks[0]}. "
                f"Look at them with `fundus-uda inspect`."
            )
        self.then = then
        self.outlined: FundusImages | None = None
        """Outlined photographs of the target, shown in place of a share of the draws."""
        self.size_draw: SizeDraw | None = None
        """Draw that stands for the order of the keys; None for samples as they are."""

    def __len__(self) -> int:
        return len(self.cached)

    def __getitem__(self, key: SampleKey) -> dict[str, Tensor]:
        """Return the sample of a key, transformed with the randomness of `key.seed`.

        With `size_draw`, the sample and its magnification are those that it draws by `key.seed`.
        With `outlined`, `OUTLINED_SHARE` of the seeds show one of those in its stead.
        """
        dataset, key = self.shown(key)
        drawn = dataset._drawn(key)
        dataset.then.reseed(key.seed)
        return dataset.then(dataset.cached[drawn.sample] | {"zoom": drawn.zoom})

    def name(self, key: SampleKey) -> str:
        """Return the id of the sample that a key stands for."""
        dataset, key = self.shown(key)
        return dataset.ids[dataset._drawn(key).sample]

    def shown(self, key: SampleKey) -> tuple["FundusImages", SampleKey]:
        """Return where the sample of a key is: among the outlined photographs, or among these."""
        if self.outlined is not None:
            generator = np.random.default_rng(derive_seed(key.seed, "outlined"))
            if generator.random() < OUTLINED_SHARE:
                place = int(generator.integers(len(self.outlined)))
                return self.outlined, key._replace(sample=place)
        return self, key

    def _drawn(self, key: SampleKey) -> Drawn:
        return self.size_draw.draw(key.seed) if self.size_draw else Drawn(key.sample, 1.0)
