"""Sizes of the target's discs and cups, estimated without labels, for the source to show."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from fundus_uda.data.images import FundusImages
from fundus_uda.data.sizes import ZOOM, Drawn, SizeDraw, Sizes, reason_not_to_match, sizes_of
from fundus_uda.masks.postprocess import remove_small_components
from fundus_uda.output import note

DRAWS = 1000
"""Number of draws that are described in `label_match.csv`."""


class SizeMatch:
    """Match of a source's discs and cups to the target's (an `engine.train.LabelMatch`)."""

    def __init__(
        self,
        source: FundusImages,
        target_images: Callable[[], Iterable[Tensor]],
        aligned: bool,
    ) -> None:
        """Measure the source.

        Args:
            source: labelled images, which are to show the target's sizes.
            target_images: function that returns batches (B, 3, H, W) of all target images, without
                random transforms.
            aligned: whether predictions on both are aligned (see `data.sizes.SizeDraw`).
        """
        self.source, self.target_images, self.aligned = source, target_images, aligned
        self.own = sizes_of(np.asarray(item["label"])[0] for item in source.cached)

    @torch.no_grad()
    def estimate(self, network: nn.Module) -> Tensor:
        """Estimate the sizes in the target's images from a network's predictions.

        Returns:
            (n, 2) float64, a row for each image with a disc and a cup (see `data.sizes.Sizes`).
        """
        network.eval()
        found = [np.empty((0, 2))]
        for image in self.target_images():
            classes = network(image).max(dim=1).indices.to(torch.uint8).cpu().numpy()
            found.append(sizes_of(remove_small_components(mask) for mask in classes))
        sizes = np.concatenate(found)
        return torch.from_numpy(sizes[np.isfinite(sizes).all(axis=1) & (sizes > 0).all(axis=1)])

    def show(self, target_labels: Tensor) -> dict[str, float | str]:
        """Make the source show these sizes, or leave it as it is if it cannot.

        Args:
            target_labels: return value of `estimate`.

        Returns:
            Row of `found`, the number of target images with a disc and a cup; the means of their
            `disc_share` and `vertical_cdr`; of `DRAWS` draws from the source, the means
            `shown_disc_share`, `shown_vertical_cdr` and `zoom`, their magnification, and the number
            `clipped` of magnifications at a limit; and `left_as_it_is`, the reason why the source
            is, in which case the means are those of all its images.
        """
        wanted: Sizes = target_labels.numpy()
        reason = reason_not_to_match(self.own, wanted)
        if reason:
            note(f"The source's discs and cups are shown as large as they are: {reason}.")
        self.source.size_draw = draw = None if reason else SizeDraw(self.own, wanted, self.aligned)
        if draw is None:
            drawn = [Drawn(sample, 1.0) for sample in range(len(self.own))]
        else:
            drawn = [draw.draw(seed) for seed in range(DRAWS)]
        zoom = np.array([each.zoom for each in drawn])
        shown = self.own[[each.sample for each in drawn]]
        shown[:, 0] *= zoom**2
        return {
            "found": len(wanted),
            **_means("", wanted),
            **_means("shown_", shown),
            "zoom": float(zoom.mean()),
            "clipped": int(np.isin(zoom, ZOOM).sum()),
            "left_as_it_is": reason,
        }


def reason_left_as_it_is(run: Path) -> str:
    """Return why the source of a run was last left as it is; empty if it was not."""
    file = run / "label_match.csv"
    if not file.is_file():
        return ""
    return str(pd.read_csv(file, keep_default_na=False)["left_as_it_is"].iloc[-1])


def _means(prefix: str, sizes: Sizes) -> dict[str, float | str]:
    share, ratio = np.nanmean(sizes, axis=0) if len(sizes) else (float("nan"),) * 2
    return {f"{prefix}disc_share": float(share), f"{prefix}vertical_cdr": float(ratio)}
