"""CycleGAN's generator: a residual network from images of one domain to those of the other."""

from torch import Tensor, nn
from torch.nn import functional as F


class ResnetGenerator(nn.Module):
    """Network from images (B, 3, H, W) in [-1, 1] to such images, H and W divisible by 4.

    Johnson et al.'s network as in CycleGAN (Zhu et al., ICCV 2017, Section 7.2): c7s1-64,
    d128, d256, blocks x R256, u128, u64, c7s1-3, with instance normalisation.

    Args:
        channels: number of channels of the first layer, 64 in the paper.
        blocks: number of residual blocks, 9 in the paper for images of 256 and more pixels.
        start_at_identity: whether to return the input plus a learnt change that starts at zero,
            instead of the tanh of a new image. This is not in the paper; it is for trainings too
            short to learn to copy an image first. The result is in about [-1, 1].
    """

    def __init__(self, channels: int, blocks: int, start_at_identity: bool) -> None:
        super().__init__()
        last = nn.Conv2d(channels, 3, 7)
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, channels, 7),
            *_normalised(channels),
            nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
            *_normalised(2 * channels),
            nn.Conv2d(2 * channels, 4 * channels, 3, stride=2, padding=1),
            *_normalised(4 * channels),
            *(_ResidualBlock(4 * channels) for _ in range(blocks)),
            nn.ConvTranspose2d(4 * channels, 2 * channels, 3, 2, padding=1, output_padding=1),
            *_normalised(2 * channels),
            nn.ConvTranspose2d(2 * channels, channels, 3, 2, padding=1, output_padding=1),
            *_normalised(channels),
            nn.ReflectionPad2d(3),
            last,
        )
        self.start_at_identity = start_at_identity
        self.apply(initialise)
        if start_at_identity:
            nn.init.zeros_(last.weight)

    def forward(self, image: Tensor) -> Tensor:
        """Translate images (B, 3, H, W) in [-1, 1], H and W divisible by 4."""
        change: Tensor = self.layers(image)
        return image + change if self.start_at_identity else change.tanh()


def translate(generator: nn.Module, image: Tensor) -> Tensor:
    """Apply `generator` to images (B, 3, H, W) of any size, padded by reflection."""
    height, width = image.shape[2:]
    padded = F.pad(image, (0, -width % 4, 0, -height % 4), mode="reflect")
    translated: Tensor = generator(padded)[:, :, :height, :width]
    return translated


def initialise(layer: nn.Module) -> None:
    """Draw weights from N(0, 0.02) as in CycleGAN; an argument for `nn.Module.apply`."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, std=0.02)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            *_normalised(channels),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.layers(x)
        return changed


def _normalised(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.InstanceNorm2d(channels), nn.ReLU()
