"""Networks built from settings, and models loaded from checkpoints."""

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import ResNet101_Weights, VGG16_Weights

from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.engine.device import pick_device
from fundus_uda.engine.model_path import checkpoint_file
from fundus_uda.engine.settings import CheckpointName
from fundus_uda.engine.state import ParameterGroup, encoder_and_head
from fundus_uda.errors import InputError
from fundus_uda.networks import deeplab_v3plus, input_statistics
from fundus_uda.paths import user_path
from roadscene.deeplab_v2 import DeepLabV2, DeepLabV2ResNet101, DeepLabV2VGG16
from roadscene.images import Normalisation, network_input
from roadscene.settings import DeepLabV2Settings, RoadDeepLabV3PlusSettings, RoadSettings
from roadscene.weights import LoadReport, load_file, load_tensors

_CAFFE_BGR_MEAN = (104.00698793, 116.66876762, 122.67891434)

NORMALISATIONS = {
    # Caffe's ImageNet convention, as in the DeepLab weights (AdaptSegNet, ADVENT, MaxSquare, BDL)
    "bgr": Normalisation("BGR", _CAFFE_BGR_MEAN),
    # ASANet as released: the same mean, but in RGB order
    "bgr_minus_rgb_mean": Normalisation("BGR", _CAFFE_BGR_MEAN[::-1]),
    # torchvision's ImageNet weights: its mean and deviation of RGB in [0, 1], times 255
    "torchvision": Normalisation(
        "RGB", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    ),
}  # fmt: skip


def build_network(settings: RoadSettings) -> tuple[nn.Module, LoadReport | None]:
    """Build the network of a run with its initial weights, and report on the weight file, if any.

    Raises:
        InputError: an option that the architecture does not have, or weights that do not fit.
    """
    network, classes = settings.network, settings.data.classes
    if isinstance(network, RoadDeepLabV3PlusSettings):
        if settings.adaptation.auxiliary is not None:
            raise _no_auxiliary("deeplab_v3plus")
        stride, rates = network.output_stride, network.atrous_rates
        return deeplab_v3plus(network.encoder, network.weights, classes, stride, rates), None
    deeplab = _deeplab_v2(settings, network)
    if network.weights == "random":
        return deeplab, None
    if network.weights == "imagenet":
        return deeplab, load_tensors(deeplab, _imagenet(network), "ImageNet weights of torchvision")
    return deeplab, load_file(deeplab, user_path(network.weights))


def random_network(settings: RoadSettings) -> nn.Module:
    """Build the network of a run with random weights, to be replaced.

    Raises:
        InputError: an option that the architecture does not have.
    """
    random = settings.network.model_copy(update={"weights": "random"})
    return build_network(settings.model_copy(update={"network": random}))[0]


def parameter_groups(network: nn.Module, settings: RoadSettings) -> list[ParameterGroup]:
    """Group every parameter to train, once, by relative learning rate."""
    factor = settings.segmenter.head_lr_factor
    if isinstance(network, DeepLabV2):
        assert isinstance(settings.network, DeepLabV2Settings)
        return network.parameter_groups(factor, settings.network.backbone_lr)
    return encoder_and_head(network, factor)


def normalisation(settings: RoadSettings) -> Normalisation:
    """Return the normalisation that the network expects of its images."""
    network = settings.network
    if isinstance(network, DeepLabV2Settings):
        return NORMALISATIONS[network.normalisation]
    mean, std = input_statistics(network.encoder)
    return Normalisation("RGB", tuple(255 * v for v in mean), tuple(255 * v for v in std))


def logits_at(network: nn.Module, image: Tensor, size: tuple[int, int]) -> Tensor:
    """Compute logits (B, C, *size) of a network in evaluation mode, upsampled in its own way."""
    if isinstance(network, DeepLabV2):
        logits: Tensor = network(image, size)
    else:
        logits = F.interpolate(network(image), size=size, mode="bilinear", align_corners=False)
    return logits.float()


@dataclass(frozen=True)
class Model:
    """Network with its settings and device.

    Args:
        network: network from images (B, 3, H, W) to logits (B, C, H, W).
        settings: settings of its run.
        device: device of the network.
        step: number of updates; None for a published checkpoint, which does not say.
        report: report on the tensors of a published checkpoint; None for a run of this program.
    """

    network: nn.Module
    settings: RoadSettings
    device: torch.device
    step: int | None = None
    report: LoadReport | None = None

    @torch.no_grad()
    def logits(self, image: Image.Image, size: tuple[int, int]) -> Tensor:
        """Compute class logits of an image, without drawing random numbers.

        Args:
            image: RGB image of any size.
            size: (height, width) to upsample to.

        Returns:
            (1, C, *size) float32 on the device.
        """
        data = self.settings.data
        expected = normalisation(self.settings)
        pixels = network_input(image, data.target_size, expected, data.test_resize)
        return logits_at(self.network.eval(), pixels[None].to(self.device), size)


def load_model(
    path: Path | str,
    device: torch.device | str = "auto",
    published: RoadSettings | None = None,
    which: CheckpointName = "last",
) -> Model:
    """Load the network of a run or of a published checkpoint.

    Args:
        path: run folder, checkpoint of this program or, with `published`, published checkpoint.
        device: device for the network; for a text see `pick_device`.
        published: settings of a published checkpoint, which does not hold them; None for a run of
            this program.
        which: checkpoint of a run folder.

    Raises:
        InputError: no such file, not a checkpoint, or one of another network or class count.
    """
    file, device = checkpoint_file(Path(path), which), pick_device(device)
    if published is not None:
        if not isinstance(published.network, DeepLabV2Settings):
            raise InputError(
                f"Expected settings of deeplab_v2 to read {file} with. "
                f"Got: {published.network.architecture}, which has no published checkpoint."
            )
        deeplab = _deeplab_v2(published, published.network)
        report = load_file(deeplab, file, require_main_head=True)
        return Model(deeplab.to(device).eval(), published, device, report=report)
    try:
        checkpoint = load_checkpoint(file)
    except InputError as error:
        raise InputError(
            f"{error} For a checkpoint of another project, name its settings with --published."
        ) from None
    network_settings = checkpoint.settings.get("network")
    if not isinstance(network_settings, dict) or "architecture" not in network_settings:
        raise InputError(f"Expected a road-scene model in {file}. Got: one of another program.")
    try:
        settings = RoadSettings.model_validate(checkpoint.settings)
    except ValidationError as error:
        raise InputError(
            f"Expected settings of a road-scene model of this version in {file}. Got: "
            f"{error.error_count()} that it does not know. Use the version that trained it."
        ) from None
    try:
        network = random_network(settings)
    except InputError as error:
        raise InputError(f"Expected a network that can be built in {file}. {error}") from None
    try:
        network.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise InputError(
            f"Expected the weights of {settings.network.architecture} with "
            f"{settings.data.classes} classes in {file}. Got: {str(error).splitlines()[1].strip()}"
        ) from None
    return Model(network.to(device).eval(), settings, device, checkpoint.step)


def _deeplab_v2(settings: RoadSettings, network: DeepLabV2Settings) -> DeepLabV2:
    classes, auxiliary = settings.data.classes, settings.adaptation.auxiliary is not None
    if network.weights == "imagenet" and network.normalisation != "torchvision":
        raise InputError(
            f"Expected network.normalisation=torchvision with network.weights=imagenet, since "
            f"those are torchvision's. Got: {network.normalisation}."
        )
    if network.backbone == "resnet101":
        return DeepLabV2ResNet101(classes, network.aspp_branches, auxiliary)
    if auxiliary:
        raise _no_auxiliary("vgg16")
    return DeepLabV2VGG16(classes, network.aspp_branches)


def _no_auxiliary(where: str) -> InputError:
    return InputError(
        f"Expected network.backbone=resnet101 of deeplab_v2 with adaptation.auxiliary, the only "
        f"one with an auxiliary head. Got: {where}."
    )


def _imagenet(network: DeepLabV2Settings) -> dict[str, Tensor]:
    models = {
        "resnet101": ResNet101_Weights.IMAGENET1K_V1,
        "vgg16": VGG16_Weights.IMAGENET1K_V1,
    }
    try:
        return dict(models[network.backbone].get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"Expected to download ImageNet weights for {network.backbone}. Got: {error}. "
            f"Without a network, set network.weights to a file."
        ) from None
