"""DeepLab-v2 (Chen et al., PAMI 2018) on ResNet-101 and VGG-16, as Section III-D describes it.

One scale, dilated convolutions in the last two stages, ASPP of rates {6, 12, 18, 24}. The output
has an eighth of the input's resolution and is upsampled with aligned corners.

Module names are those of the published checkpoints. torchvision builds the backbones; they are
changed here where the Caffe originals differ.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet101, vgg16

from fundus_uda.engine.state import ParameterGroup

RATES = (6, 12, 18, 24)


class ASPP(nn.Module):
    """Sum of dilated 3x3 convolutions to class logits.

    Args:
        in_channels: number of channels of the features.
        classes: number of classes C.
        branches: number of branches that are summed. All four exist either way, since the
            released models of two branches keep the parameters of four.
    """

    def __init__(self, in_channels: int, classes: int, branches: int) -> None:
        super().__init__()
        self.in_channels, self.classes, self.branches = in_channels, classes, branches
        self.conv2d_list = nn.ModuleList()
        for rate in RATES:
            conv = nn.Conv2d(in_channels, classes, kernel_size=3, padding=rate, dilation=rate)
            nn.init.normal_(conv.weight, std=0.01)
            self.conv2d_list.append(conv)

    def forward(self, features: Tensor) -> Tensor:
        """Compute logits (B, C, h, w) of features (B, in_channels, h, w)."""
        logits: Tensor = self.conv2d_list[0](features)
        for conv in self.conv2d_list[1 : self.branches]:
            logits = logits + conv(features)
        return logits


class DeepLabV2(nn.Module, ABC):
    """Base of both backbones: the heads and the upsampling."""

    main_head: str
    auxiliary_head: str | None = None

    def forward(
        self, image: Tensor, size: tuple[int, int] | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Compute logits of images, upsampled with aligned corners.

        Args:
            image: (B, 3, H, W) float.
            size: (height, width) of the logits; None for (H, W).

        Returns:
            Logits (B, C, *size); in training mode with an auxiliary head, (main, auxiliary) logits.
        """
        size = size or (image.shape[-2], image.shape[-1])
        upsampled = [
            # In float32: logits of half precision would put the affinity off by a tenth.
            F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=True)
            for logits in self.low_resolution(image)
        ]
        return (upsampled[0], upsampled[1]) if len(upsampled) == 2 else upsampled[0]

    @abstractmethod
    def low_resolution(self, image: Tensor) -> list[Tensor]:
        """Compute main and, in training mode, auxiliary logits at an eighth of the resolution."""

    def heads(self) -> dict[str, ASPP]:
        """Return the heads by module name."""
        names = (self.main_head, self.auxiliary_head)
        return {name: self.get_submodule(name) for name in names if name}  # type: ignore[misc]

    def parameter_groups(self, head_factor: float, backbone_lr: str) -> list[ParameterGroup]:
        """Group every trained parameter, once, by its learning rate relative to the run's.

        Args:
            head_factor: relative learning rate of the heads.
            backbone_lr: "once" counts a backbone parameter once; "repeated" counts it as often as
                the released code yields it, as a factor of its learning rate.
        """
        heads = tuple(self.heads())
        groups: dict[float, list[nn.Parameter]] = {}
        in_heads = []
        for name, parameter in self.named_parameters():
            if name.startswith(heads):
                in_heads.append(parameter)
            elif parameter.requires_grad:
                factor = self.repetitions(name) if backbone_lr == "repeated" else 1
                groups.setdefault(factor, []).append(parameter)
        backbone = [ParameterGroup(groups[factor], factor) for factor in sorted(groups)]
        return [*backbone, ParameterGroup(in_heads, head_factor)]

    def repetitions(self, name: str) -> int:
        """Count how often the released code yields a backbone parameter to its optimiser."""
        return 1


class DeepLabV2ResNet101(DeepLabV2):
    """ResNet-101 of stride 8, with frozen batch-norm weights but batch-norm statistics that move.

    As in Caffe, the stride of a stage is on its first 1x1 convolution, and pooling rounds up.
    As in the published names, `layer5` is the only head; with an auxiliary head on the features of
    `layer3`, `layer5` is the auxiliary head and `layer6` the main one.
    """

    def __init__(self, classes: int, branches: int = 4, auxiliary: bool = False) -> None:
        super().__init__()
        body = resnet101(weights=None)
        self.conv1, self.bn1, self.relu = body.conv1, body.bn1, body.relu
        self.maxpool, self.layer1, self.layer2 = body.maxpool, body.layer1, body.layer2
        self.layer3, self.layer4 = body.layer3, body.layer4
        self.maxpool.ceil_mode = True
        first = self.layer2[0]
        first.conv1.stride, first.conv2.stride = first.conv2.stride, first.conv1.stride
        for layer, dilation in ((self.layer3, 2), (self.layer4, 4)):
            layer[0].conv2.stride = layer[0].downsample[0].stride = (1, 1)
            for block in layer:
                block.conv2.dilation = block.conv2.padding = (dilation, dilation)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)
        if auxiliary:
            self.layer5 = ASPP(1024, classes, branches)
            self.layer6 = ASPP(2048, classes, branches)
            self.main_head, self.auxiliary_head = "layer6", "layer5"
        else:
            self.layer5 = ASPP(2048, classes, branches)
            self.main_head = "layer5"

    def low_resolution(self, image: Tensor) -> list[Tensor]:
        """See the base class."""
        features = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        features = self.layer3(self.layer2(self.layer1(features)))
        heads = self.heads()
        main = heads[self.main_head](self.layer4(features))
        if self.auxiliary_head is None or not self.training:
            return [main]
        return [main, heads[self.auxiliary_head](features)]

    def repetitions(self, name: str) -> int:
        """Count each nested module that holds the parameter (see `presets`)."""
        if name.startswith("layer"):
            return 4 if ".downsample." in name else 3
        return 1


class DeepLabV2VGG16(DeepLabV2):
    """VGG-16 without its last two poolings, with fc6 and fc7 as convolutions of 1024 channels.

    `features.29` and `features.31` are fc6 and fc7, `classifier` is the head.
    """

    main_head = "classifier"

    def __init__(self, classes: int, branches: int = 4) -> None:
        super().__init__()
        layers = list(vgg16(weights=None).features)
        kept = layers[:23] + layers[24:30]
        for conv in (kept[23], kept[25], kept[27]):
            conv.dilation = conv.padding = (2, 2)
        for channels in (512, 1024):
            fc = nn.Conv2d(channels, 1024, kernel_size=3, padding=4, dilation=4)
            kept += [fc, nn.ReLU(inplace=True)]
        self.features = nn.Sequential(*kept)
        self.classifier = ASPP(1024, classes, branches)

    def low_resolution(self, image: Tensor) -> list[Tensor]:
        """See the base class."""
        return [self.classifier(self.features(image))]
