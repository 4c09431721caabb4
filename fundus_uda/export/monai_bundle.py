"""A network as a MONAI bundle: weights, configs of inference and training, metadata, card."""

import json
import warnings
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from monai.data import save_net_with_metadata

from fundus_uda.config.yaml_text import as_yaml
from fundus_uda.export.bundle_configs import bundle_metadata, inference, training
from fundus_uda.export.card import data_terms, model_card
from fundus_uda.export.provenance import Provenance
from fundus_uda.export.safetensors_file import plain_weights
from fundus_uda.segmentation.model import Model, build_network

USE = """
In this folder, with fundus-uda, MONAI, fire and pytorch-ignite installed
(`pip install "fundus-uda[export]"`), this writes a mask (0 background, 1 rim, 2 cup) for each crop
in a folder, those of `fundus-uda predict`, pixel for pixel:

```
python -m monai.bundle run --config_file configs/inference.yaml \\
    --dataset_dir CROPS --output_dir MASKS
```

`fundus-uda crop PHOTOGRAPHS --out CROPS` makes the crops, in `CROPS/images`. This trains the
network further on a folder with `images/` and `masks/`, into `models/trained.pt`, and scores it
after each epoch on another one, if there is `--val_dataset_dir`:

```
python -m monai.bundle run --config_file configs/train.yaml --dataset_dir LABELLED
```

`models/model.pt` holds the weights by name, `models/model.ts` the network in TorchScript, with
metadata and configs inside; it takes images of the size below alone and needs neither fundus-uda
nor segmentation-models-pytorch.
"""


def write(model: Model, about: Provenance, out: Path) -> str:
    """Write the folder."""
    for name in ("configs", "docs", "models"):
        (out / name).mkdir(parents=True)
    metadata_of_bundle = bundle_metadata(about)
    configs = {"inference": inference(about), "train": training(about)}
    text = json.dumps(metadata_of_bundle, indent=2)
    (out / "configs" / "metadata.json").write_text(f"{text}\n", encoding="utf-8")
    for name, config in configs.items():
        (out / "configs" / f"{name}.yaml").write_text(as_yaml(config), encoding="utf-8")
    (out / "docs" / "README.md").write_text(model_card(about, USE), encoding="utf-8")
    (out / "docs" / "data_license.txt").write_text(f"{data_terms(about)}\n", encoding="utf-8")
    (out / "LICENSE").write_text(_license(), encoding="utf-8")
    torch.save(plain_weights(model), out / "models" / "model.pt")
    inside = {f"{name}.json": json.dumps(config).encode() for name, config in configs.items()}
    _write_torchscript(model, metadata_of_bundle, inside, out / "models" / "model.ts")
    return "Its docs/README.md says how to run it."


def _write_torchscript(
    model: Model, about: dict[str, Any], inside: dict[str, bytes], file: Path
) -> None:
    """Trace a network at its size, with metadata and configs inside, as MONAI Deploy reads it."""
    network = build_network(model.settings.network, "random")  # a plain copy: rows first, on a CPU
    network.load_state_dict(model.network.state_dict())
    side = model.settings.data.size
    stream = BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # what MONAI reads, torch deprecates
        traced = torch.jit.trace(network.eval(), torch.zeros(1, 3, side, side))
        save_net_with_metadata(
            traced, stream, include_config_vals=False, meta_values=about, more_extra_files=inside
        )
    with ZipFile(stream) as traced_file, ZipFile(file, "w") as written:
        for name in traced_file.namelist():
            if not name.endswith(".debug_pkl"):  # traces of source files, by their places here
                _, _, within = name.partition("/")
                written.writestr(f"model/{within}", traced_file.read(name))


def _license() -> str:
    """Return the licence of the code and the configs, from the installed package."""
    files = metadata.files("fundus-uda") or []
    found = [file for file in files if file.name == "LICENSE"]
    checkout = Path(__file__).parents[2] / "LICENSE"
    path = Path(str(found[0].locate())) if found else checkout
    return path.read_text(encoding="utf-8")
