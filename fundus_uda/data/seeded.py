"""Samples and transforms as the dataset that the engine asks for."""

import copy
from concurrent.futures import ThreadPoolExecutor

from monai.transforms import Compose, Randomizable
from torch import Tensor

from fundus_uda.data.samples import Sample
from fundus_uda.data.transforms import fixed_transforms, read_sample
from fundus_uda.engine.batches import SampleKey


class FundusImages:
    """Photographs at network size, cached in memory as uint8, with transforms by seed.

    Implements `engine.batches.SeededDataset`. Only the deterministic part is cached, so a
    sample depends on its key alone.
    """

    def __init__(self, samples: list[Sample], size: int, then: Compose) -> None:
        fixed = fixed_transforms(size)
        with ThreadPoolExecutor() as pool:
            self.cached = list(pool.map(lambda sample: fixed(read_sample(sample)), samples))
        self.then = then

    def __len__(self) -> int:
        return len(self.cached)

    def __getitem__(self, key: SampleKey) -> dict[str, Tensor]:
        """The sample, transformed with the randomness of `key.seed`."""
        item = copy.deepcopy(self.cached[key.sample])
        if isinstance(self.then, Randomizable):
            self.then.set_random_state(seed=key.seed)
        transformed: dict[str, Tensor] = self.then(item)
        return transformed
