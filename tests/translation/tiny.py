"""Two domains of random images and networks small enough for a step in milliseconds."""

import numpy as np
from torch import nn

from fundus_uda.translation.images import Domain, whole_frame
from fundus_uda.translation.settings import CycadaSettings


def domain(name, count, brightness=0, size=(40, 48), field=whole_frame, in_memory=True) -> Domain:
    def read(index):
        rng = np.random.default_rng(index)
        return (rng.integers(0, 150, (*size, 3)) + brightness).astype(np.uint8)

    ids = [f"{name}{index}" for index in range(count)]
    return Domain(ids, read, lambda height, width: (height, width), field, name, in_memory)


def settings(**changes) -> CycadaSettings:
    values = {"source": "s", "target": "t", "model": "m", "steps": 7, "batch_size": 2}
    values |= {"snapshot_every": 3, "crop": 32, "generator": {"channels": 2, "blocks": 1}}
    values |= {"discriminator_channels": 2, "history": 3, "lr": 0.01}
    return CycadaSettings.model_validate(values | changes)


def segmenter() -> nn.Module:
    return nn.Conv2d(3, 2, 1)
