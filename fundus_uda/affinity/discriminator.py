"""The fully convolutional domain classifier D of Section III-D."""

from torch import Tensor, nn

SMALLEST_MAP = 32
"""Least height and width of a discriminator's map, which is halved five times."""


class AffinityDiscriminator(nn.Module):
    """Five 4x4 convolutions of stride 2 with 64, 128, 256, 512 and 1 channels, leaky ReLU 0.2.

    Takes a map of (B, in_channels, H, W) float, at least 32 pixels high and wide: the affinity
    space (in_channels = neighbors * classes) or whatever else a method compares. Returns
    domain logits of (B, 1, H // 32, W // 32): positive where it predicts the source.

    Reference: Section III-D, after AdaptSegNet (Tsai et al., CVPR 2018).
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (64, 128, 256, 512):
            layers += [
                nn.Conv2d(in_channels, width, kernel_size=4, stride=2, padding=1),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            in_channels = width
        layers.append(nn.Conv2d(in_channels, 1, kernel_size=4, stride=2, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, map_BKHW: Tensor) -> Tensor:
        """Compute domain logits (B, 1, H // 32, W // 32) of a map (B, in_channels, H, W).

        Raises:
            ValueError: the map is smaller than 32x32 pixels.
        """
        height, width = map_BKHW.shape[-2:]
        if min(height, width) < SMALLEST_MAP:
            raise ValueError(
                f"Expected a map of at least 32x32 pixels, the discriminator's stride. "
                f"Got: {height}x{width}. Train with larger images."
            )
        logits: Tensor = self.layers(map_BKHW)
        return logits
