"""Affinity space adaptation: the paper's equations and its discriminator.

Zhou et al., "Affinity Space Adaptation for Semantic Segmentation Across Domains",
IEEE Transactions on Image Processing, 2020. Needs torch alone.
"""

from fundus_uda.affinity.baselines import (
    class_weights,
    entropy_loss,
    maximum_squares_loss,
    self_information,
)
from fundus_uda.affinity.discriminator import AffinityDiscriminator
from fundus_uda.affinity.equations import (
    adversarial_loss,
    affinity_cleaning_loss,
    affinity_map,
    affinity_space,
    discriminator_loss,
    mean_affinity,
    segmentation_loss,
)
from fundus_uda.affinity.neighbors import neighbor_offsets

__all__ = [
    "AffinityDiscriminator",
    "adversarial_loss",
    "affinity_cleaning_loss",
    "affinity_map",
    "affinity_space",
    "class_weights",
    "discriminator_loss",
    "entropy_loss",
    "maximum_squares_loss",
    "mean_affinity",
    "neighbor_offsets",
    "segmentation_loss",
    "self_information",
]
