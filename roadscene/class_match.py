"""Class shares of the target, estimated without labels, for the source to show by sampling."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from roadscene.classes import class_table
from roadscene.images import RoadImages


class ClassMatch:
    """Match of a source's class shares to the target's (an `engine.train.LabelMatch`).

    Each draw takes a class by the target's shares, then a frame by how many of that class's pixels
    it has. A target with the source's shares leaves all frames equally probable.
    """

    def __init__(
        self,
        source: RoadImages,
        counts: NDArray[np.int64],
        target_images: Callable[[], Iterable[Tensor]],
    ) -> None:
        """Prepare the draw.

        Args:
            source: labelled frames, which are to show the target's shares.
            counts: pixels of each class in each of them, (frames, classes).
            target_images: function that returns batches (B, 3, H, W) of all target images.
        """
        self.source, self.target_images = source, target_images
        self.pixels = counts.sum(axis=1)
        of_class = counts.sum(axis=0)
        self.frames_by_class = counts / np.maximum(of_class, 1)
        self.shares_by_frame = counts / np.maximum(self.pixels, 1)[:, None]

    @torch.no_grad()
    def estimate(self, network: nn.Module) -> Tensor:
        """Estimate the share of each class in the target's pixels from a network's predictions.

        Returns:
            (classes,) float64 on the CPU, summing to 1.
        """
        network.eval()
        classes = self.frames_by_class.shape[1]
        counts = torch.zeros(classes, dtype=torch.int64)
        for image in self.target_images():
            label = network(image).max(dim=1).indices.flatten().cpu()
            counts += torch.bincount(label, minlength=classes)
        return counts.double() / counts.sum()

    def show(self, target_labels: Tensor) -> dict[str, float | str]:
        """Make the source show these shares, as far as its frames can.

        Classes that the source lacks are left out.

        Args:
            target_labels: return value of `estimate`.

        Returns:
            Row of the effective number of frames, `frames`, and of the share of each class in the
            target and as it is shown, `NAME` and `shown_NAME`.
        """
        wanted: NDArray[np.float64] = target_labels.numpy()
        weights = self.frames_by_class @ wanted
        weights = weights / weights.sum()
        self.source.draw_by(weights)
        shown = weights @ self.shares_by_frame
        names = [each.name for each in class_table(len(wanted))]
        return {
            "frames": float(1 / (weights**2).sum()),
            **{name: float(share) for name, share in zip(names, wanted, strict=True)},
            **{f"shown_{name}": float(share) for name, share in zip(names, shown, strict=True)},
        }
