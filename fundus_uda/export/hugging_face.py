"""A network in the layout of Hugging Face's hub: card with a header, config and weights."""

import json
from pathlib import Path

from fundus_uda import __version__
from fundus_uda.config.yaml_text import as_yaml
from fundus_uda.export.card import model_card
from fundus_uda.export.provenance import Provenance
from fundus_uda.export.safetensors_file import write_weights
from fundus_uda.masks.classes import CLASSES
from fundus_uda.masks.dice import DICE
from fundus_uda.networks import ATROUS_RATES, input_statistics
from fundus_uda.segmentation.model import Model

USE = """
```python
import fundus_uda

model = fundus_uda.load_model("model.safetensors")
mask = model.outline(photograph)  # (H, W, 3) uint8 RGB to (H, W): 0 background, 1 rim, 2 cup
```

Without fundus-uda, `config.json` has the arguments of segmentation-models-pytorch:

```python
import json

import segmentation_models_pytorch as smp
from safetensors.torch import load_file

network = smp.DeepLabV3Plus(**json.load(open("config.json"))["architecture"])
network.load_state_dict(load_file("model.safetensors"))
logits = network.eval()(images)  # images as below
```
"""


def write(model: Model, about: Provenance, out: Path) -> str:
    """Write the folder."""
    out.mkdir()
    card = model_card(about, USE)
    header = as_yaml(_header(about))
    (out / "README.md").write_text(f"---\n{header}---\n\n{card}", encoding="utf-8")
    config = json.dumps(_config(about), indent=2)
    (out / "config.json").write_text(f"{config}\n", encoding="utf-8")
    write_weights(model, about, out / "model.safetensors", card)
    return "Nothing was uploaded. Look through README.md before you do."


def architecture(about: Provenance) -> dict[str, object]:
    """Return the arguments of `segmentation_models_pytorch.DeepLabV3Plus` for a network."""
    network = about.settings.network
    rates = network.atrous_rates or ATROUS_RATES[network.output_stride]
    return {
        "encoder_name": network.encoder,
        "encoder_weights": None,
        "encoder_output_stride": network.output_stride,
        "decoder_atrous_rates": list(rates),
        "classes": len(CLASSES),
    }


def _config(about: Provenance) -> dict[str, object]:
    data = about.settings.data
    mean, std = input_statistics(about.settings.network.encoder)
    return {
        "model_type": "deeplabv3plus",
        "architectures": ["DeepLabV3Plus"],
        "architecture": architecture(about),
        "id2label": dict(enumerate(CLASSES)),
        "label2id": {name: index for index, name in enumerate(CLASSES)},
        "image_size": data.size,
        "image_mean": list(mean),
        "image_std": list(std),
        "rescale_factor": 1 / 255,
        "tta_flips": data.tta_flips,
        "fill_cup_hull": data.fill_cup_hull,
        "fundus_uda_version": __version__,
    }


def _header(about: Provenance) -> dict[str, object]:
    """Return the header of the card, as the hub reads it."""
    header: dict[str, object] = {
        "license": "other",
        "license_name": "terms-of-the-training-data",
        "license_link": "README.md",
        "library_name": "fundus-uda",
        "pipeline_tag": "image-segmentation",
        "tags": ["fundus", "optic-disc", "optic-cup", "glaucoma", "domain-adaptation", "medical"],
    }
    if about.scores is not None:
        metrics = [
            {"type": "dice", "name": name, "value": about.scores[name]["mean"]}
            for name in DICE
            if about.scores[name]["mean"] is not None
        ]
        kind = about.scores["data"]
        task, data = {"type": "image-segmentation"}, {"type": kind, "name": kind}
        results = [{"task": task, "dataset": data, "metrics": metrics}]
        header["model-index"] = [{"name": "fundus-uda", "results": results}]
    return header
