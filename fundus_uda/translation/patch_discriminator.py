"""CycleGAN's discriminator: whether patches of 70x70 pixels are real or translated."""

from torch import Tensor, nn

from fundus_uda.translation.generator import initialise


class PatchDiscriminator(nn.Module):
    """Network from images (B, 3, H, W) in [-1, 1] to patch scores (B, 1, H / 8 - 2, W / 8 - 2).

    PatchGAN (Isola et al., CVPR 2017; CycleGAN, Section 7.2): C64-C128-C256-C512 with instance
    normalisation except in the first layer, leaky ReLU of slope 0.2, and a last convolution to one
    channel without activation.

    Args:
        channels: number of channels of the first layer, 64 in the paper.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, 2 * channels, 4 * channels, 8 * channels)
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 4, 2, padding=1), nn.LeakyReLU(0.2)]
        for fewer, more, stride in zip(widths, widths[1:], (2, 2, 1), strict=False):
            layers += [
                nn.Conv2d(fewer, more, 4, stride, padding=1),
                nn.InstanceNorm2d(more),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.apply(initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Score the patches of images (B, 3, H, W) in [-1, 1]."""
        score: Tensor = self.layers(image)
        return score
