"""Training state of a translation: everything that its training changes."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fundus_uda.engine.randomness import seed_torch
from fundus_uda.engine.state import memory_format
from fundus_uda.translation.generator import ResnetGenerator
from fundus_uda.translation.image_pool import ImagePool
from fundus_uda.translation.patch_discriminator import PatchDiscriminator
from fundus_uda.translation.settings import CycadaSettings


@dataclass
class TranslationState:
    """Networks, optimisers, past translations and step. An `engine.state.State`.

    Args:
        generators: "ST" from source to target, and "TS" back.
        discriminators: "S" and "T", by the domain whose images are real to them.
        generator_optimizer: optimiser of both generators.
        discriminator_optimizer: optimiser of both discriminators.
        pools: pools of translations, by the domain to which they were translated.
        device: device of all of these.
        step: number of updates done.
    """

    generators: nn.ModuleDict
    discriminators: nn.ModuleDict
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    pools: dict[str, ImagePool]
    device: torch.device
    step: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain types, for `torch.load(weights_only=True)`."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        pools = {domain: pool.state_dict() for domain, pool in self.pools.items()}
        return {**parts, "pools": pools, "step": self.step}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Restore what `state_dict` returned, strictly."""
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        for domain, pool in self.pools.items():
            pool.load_state_dict(saved["pools"][domain], self.device)
        self.step = saved["step"]

    def _parts(self) -> dict[str, Any]:
        return {
            "generators": self.generators,
            "discriminators": self.discriminators,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }


def build_translation_state(settings: CycadaSettings, device: torch.device) -> TranslationState:
    """Build the state at step 0 from the settings alone."""
    seed_torch(settings.seed, "translation")
    shape = settings.generator
    generators = nn.ModuleDict(
        {
            direction: ResnetGenerator(shape.channels, shape.blocks, shape.start_at_identity)
            for direction in ("ST", "TS")
        }
    )
    discriminators = nn.ModuleDict(
        {domain: PatchDiscriminator(settings.discriminator_channels) for domain in ("S", "T")}
    )
    for networks in (generators, discriminators):
        networks.to(device).to(memory_format=memory_format(settings))
    return TranslationState(
        generators,
        discriminators,
        torch.optim.Adam(generators.parameters(), settings.lr, settings.betas),
        torch.optim.Adam(discriminators.parameters(), settings.lr, settings.betas),
        {domain: ImagePool(settings.pool_size) for domain in ("S", "T")},
        device,
    )
