"""A network as an ONNX file of any batch and size, checked against torch when it is written."""

import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fundus_uda import __version__
from fundus_uda.errors import InputError, RunError
from fundus_uda.export.card import model_card
from fundus_uda.export.provenance import Provenance
from fundus_uda.export.safetensors_file import described
from fundus_uda.masks.classes import CLASSES
from fundus_uda.networks import input_statistics
from fundus_uda.segmentation.exported import DESCRIPTION, OnnxNetwork
from fundus_uda.segmentation.model import Model

OPSET = 17
"""Version of ONNX's operators, of 2022, which runtimes of today know."""
STRIDE = 16
"""Number that divides both sides of an image."""
LARGEST_DIFFERENCE = 1e-4
"""Largest difference of a probability between torch and onnxruntime that is let out."""
USE = """
The file is a MODEL for every command, which onnxruntime then computes on the CPU:

```
fundus-uda predict model.onnx photographs --out predictions
```

In any program with an ONNX runtime: input `images`, output `logits`, both float32 (batch, 3,
height, width) of any batch, with sides that 16 divides. The softmax over the second axis gives
probabilities. The metadata `classes`, `mean`, `std` and `size` say the rest.
"""


def write(model: Model, about: Provenance, out: Path) -> str:
    """Write the file and compare it with torch.

    Raises:
        InputError: a package is not installed.
        RunError: the two compute different probabilities.
    """
    for name in ("onnx", "onnxruntime"):
        require_package(name)
    import onnx

    network = nn.Sequential(model.network).cpu().eval()  # a forward whose argument has one name
    side = model.settings.data.size
    names = ("images", "logits")
    axes = {name: {0: "batch", 2: "rows", 3: "columns"} for name in names}
    with warnings.catch_warnings():
        # The tracing exporter: the newer one takes a hundred times as long for this network. What
        # tracing could get wrong, the comparison below finds.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.zeros(2, 3, side, side),), out, input_names=names[:1],
            output_names=names[1:], dynamic_axes=axes, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    proto = onnx.load(out)
    for name, text in metadata(model, about).items():
        proto.metadata_props.add(key=name, value=text)
    _forget_places(proto)
    onnx.save(proto, out)
    difference = largest_difference(model.network, OnnxNetwork(out), side)
    if difference > LARGEST_DIFFERENCE:
        raise RunError(
            f"Expected the probabilities of the ONNX file within {LARGEST_DIFFERENCE} of torch's. "
            f"Got: a difference of {difference:.1e}. Report it, with the versions of torch and "
            f"onnxruntime."
        )
    return f"Its probabilities differ from torch's by {difference:.1e} at most."


def metadata(model: Model, about: Provenance) -> dict[str, str]:
    """Return what the file says of itself: classes, normalisation, origin, description, card."""
    mean, std = input_statistics(about.settings.network.encoder)
    entries = {
        "classes": list(CLASSES),
        "input": "RGB, pixels / 255, then (x - mean) / std, by channel",
        "mean": list(mean),
        "std": list(std),
        "size": about.settings.data.size,
        "provenance": {
            "method": about.method,
            "step": about.step,
            "source": about.source and about.source.kind,
            "target": about.target and about.target.kind,
            "fundus-uda": __version__,
        },
    }
    texts = {name: json.dumps(value) for name, value in entries.items()}
    described_as = described(model, about, weights="").model_dump_json()
    return texts | {DESCRIPTION: described_as, "card": model_card(about, USE)}


@torch.no_grad()
def largest_difference(network: nn.Module, other: nn.Module, side: int) -> float:
    """Compute the largest difference of a probability, on images of two sizes and batches.

    Args:
        network: network from images (B, 3, H, W) to logits (B, C, H, W), on the CPU.
        other: network that should compute the same.
        side: height and width of the first images; the second are wider than high.
    """
    random = torch.Generator().manual_seed(0)
    differences = []
    for shape in ((2, 3, side, side), (1, 3, 2 * STRIDE, 3 * STRIDE)):
        images = torch.randn(shape, generator=random)
        ours, theirs = (net(images).softmax(dim=1) for net in (network.eval(), other))
        differences.append(float((ours - theirs).abs().max()))
    return max(differences)


def require_package(name: str) -> None:
    """Raise an InputError unless a package of the extra `export` is installed."""
    if importlib.util.find_spec(name) is None:
        raise InputError(
            f"Expected the package {name}. Got: not installed. Run: "
            f"pip install 'fundus-uda[export]'"
        )


def _forget_places(proto: Any) -> None:
    """Remove the traces of source files, which name folders of this machine, from a model."""
    graphs = [proto.graph, *proto.functions]
    for graph in graphs:
        for part in (graph, *graph.node, *graph.value_info):
            part.doc_string = ""
            del part.metadata_props[:]
