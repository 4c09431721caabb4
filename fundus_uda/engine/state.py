"""Training state: everything that training changes, a checkpoint saves and a resume restores."""

import copy
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from fundus_uda.affinity import AffinityDiscriminator
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.randomness import seed_torch
from fundus_uda.engine.settings import EngineSettings, RunSettings
from fundus_uda.errors import RunError


@dataclass
class ParameterGroup:
    """Parameters of the segmenter, with their learning rate relative to `segmenter.lr`."""

    parameters: list[nn.Parameter]
    lr_factor: float


def encoder_and_head(network: nn.Module, head_lr_factor: float) -> list[ParameterGroup]:
    """Group the parameters of a network into those of its `encoder` and all others, its head.

    Args:
        network: network with an encoder, such as DeepLabv3+.
        head_lr_factor: learning rate of the head, relative to the encoder's.
    """
    encoder = list(network.get_submodule("encoder").parameters())
    inside = set(map(id, encoder))
    head = [parameter for parameter in network.parameters() if id(parameter) not in inside]
    return [ParameterGroup(encoder, 1.0), ParameterGroup(head, head_lr_factor)]


class State(Protocol):
    """State that the loop advances, a checkpoint holds and a resume restores."""

    step: int
    device: torch.device

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain types, for `torch.load(weights_only=True)`."""
        ...

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Restore what `state_dict` returned, strictly."""
        ...


@dataclass
class TrainState:
    """Networks, optimisers, gradient scaler, step, and the best snapshot so far."""

    segmenter: nn.Module
    segmenter_optimizer: torch.optim.Optimizer
    discriminator: nn.Module | None
    discriminator_optimizer: torch.optim.Optimizer | None
    scaler: torch.amp.GradScaler
    device: torch.device
    step: int = 0
    selected_step: int | None = None
    selected_score: float = float("-inf")
    auxiliary_discriminator: nn.Module | None = None
    """Discriminator of the shallower prediction; `discriminator_optimizer` updates it too."""
    teacher: nn.Module | None = None
    """Teacher in evaluation mode, without gradients."""
    label_shares: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    """Share of each class, (C,) float64 on the CPU, in the labels that the segmenter learns or
    learnt from; model selection compares predictions on the target with it."""

    class_thresholds: torch.Tensor | None = None
    """(C,) float32 on the CPU, thresholds of class-balanced pseudo-labels (see `teacher`)."""
    target_labels: torch.Tensor | None = None
    """Estimate of how the target's labels are distributed, which the source shows (see
    `train.LabelMatch`); None before the first."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain types, for `torch.load(weights_only=True)`."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {
            **parts,
            "label_shares": self.label_shares,
            "class_thresholds": self.class_thresholds,
            "target_labels": self.target_labels,
            "step": self.step,
            "selected_step": self.selected_step,
            "selected_score": self.selected_score,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Restore what `state_dict` returned, strictly."""
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        self.label_shares = saved["label_shares"]
        self.class_thresholds = saved["class_thresholds"]
        self.target_labels = saved["target_labels"]
        self.step = saved["step"]
        self.selected_step = saved["selected_step"]
        self.selected_score = saved["selected_score"]

    def _parts(self) -> dict[str, Any]:
        parts = {
            "segmenter": self.segmenter,
            "segmenter_optimizer": self.segmenter_optimizer,
            "discriminator": self.discriminator,
            "auxiliary_discriminator": self.auxiliary_discriminator,
            "discriminator_optimizer": self.discriminator_optimizer,
            "teacher": self.teacher,
            "scaler": self.scaler,
        }
        return {name: part for name, part in parts.items() if part is not None}


def build_state(
    segmenter: nn.Module,
    groups: list[ParameterGroup],
    label_shares: torch.Tensor,
    settings: EngineSettings,
    device: torch.device,
) -> TrainState:
    """Build the state at step 0: optimisers for the network, and discriminators if needed.

    Args:
        segmenter: network from images (B, 3, H, W) to logits (B, C, H, W); with
            `adaptation.auxiliary`, to (main, auxiliary) logits in training mode.
        groups: every parameter of the segmenter that is to be trained, once.
        label_shares: share of each class (C,) in the labels.
        settings: settings of the run.
        device: device to train on.
    """
    segmenter = _placed(segmenter, settings, device)
    optimizer = torch.optim.SGD(
        [
            {"params": group.parameters, "base_lr": settings.segmenter.lr * group.lr_factor}
            for group in groups
        ],
        lr=settings.segmenter.lr,
        momentum=settings.segmenter.momentum,
        weight_decay=settings.segmenter.weight_decay,
    )
    discriminators: list[nn.Module] = []
    discriminator_optimizer = None
    discriminator_input = METHODS[settings.method].discriminator_input
    if discriminator_input is not None:
        classes = len(label_shares)
        prob = torch.full((1, classes, 2, 2), 1 / classes)
        example = discriminator_input(prob, settings.affinity)
        seed_torch(settings.seed, "discriminator")
        levels = 1 if settings.adaptation.auxiliary is None else 2
        discriminators = [
            _placed(AffinityDiscriminator(example.shape[1]), settings, device)
            for _ in range(levels)
        ]
        discriminator_optimizer = torch.optim.Adam(
            [
                {"params": list(discriminator.parameters()), "base_lr": settings.discriminator.lr}
                for discriminator in discriminators
            ],
            lr=settings.discriminator.lr,
            betas=settings.discriminator.betas,
        )
    teacher = None
    if METHODS[settings.method].teacher is not None:
        teacher = copy.deepcopy(segmenter).eval().requires_grad_(False)
    scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "float16")
    main, auxiliary = [*discriminators, None, None][:2]
    return TrainState(
        segmenter,
        optimizer,
        main,
        discriminator_optimizer,
        scaler,
        device,
        auxiliary_discriminator=auxiliary,
        teacher=teacher,
        label_shares=label_shares,
    )


def require_finite_weights(state: TrainState) -> None:
    """Check the weights before they are saved, so that the checkpoint before stays a good one.

    Raises:
        RunError: names the first tensor that is not finite.
    """
    networks = {"segmenter": state.segmenter, "discriminator": state.discriminator}
    for network, module in networks.items():
        for name, tensor in module.state_dict().items() if module is not None else ():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise RunError(
                    f"Expected finite weights after step {state.step}. Got: others in {name} of "
                    f"the {network}. The checkpoint before is left as it is. In a new run, lower "
                    f"the learning rates or segmenter.weight_decay."
                )


def trained_network(state: TrainState, settings: EngineSettings) -> nn.Module:
    """Return the network that a run trains: the mean teacher if it has one, else the segmenter."""
    if METHODS[settings.method].teacher == "mean":
        assert state.teacher is not None
        return state.teacher
    return state.segmenter


def memory_format(settings: RunSettings) -> torch.memory_format:
    """Return the memory format of images and convolution weights."""
    return torch.channels_last if settings.channels_last else torch.contiguous_format


def _placed(network: nn.Module, settings: EngineSettings, device: torch.device) -> nn.Module:
    return network.to(device).to(memory_format=memory_format(settings))
