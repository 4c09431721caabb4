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

from fundus_uda import __version__
from fundus_uda.config.yaml_text import as_yaml
from fundus_uda.export.card import data_terms, model_card
from fundus_uda.export.hugging_face import architecture
from fundus_uda.export.provenance import Provenance
from fundus_uda.export.safetensors_file import plain_weights
from fundus_uda.masks.classes import CLASSES
from fundus_uda.masks.dice import DICE
from fundus_uda.networks import input_statistics
from fundus_uda.segmentation.model import Model, build_network

WRITTEN = (
    "LICENSE",
    "configs/metadata.json",
    "configs/inference.yaml",
    "configs/train.yaml",
    "docs/README.md",
    "docs/data_license.txt",
    "models/model.pt",
    "models/model.ts",
)
"""Files that `write` writes."""
SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
STEPS = "fundus_uda.export.bundle_steps"
USE = """
In this folder, with fundus-uda, MONAI, fire and pytorch-ignite installed
(`pip install "fundus-uda[export]"`), this writes a mask (0 background, 1 rim, 2 cup) for each crop
in a folder, those of `fundus-uda predict`, pixel for pixel:

```
python -m monai.bundle run --config_file configs/inference.yaml \\
    --dataset_dir CROPS --output_dir MASKS
```

`fundus-uda crop PHOTOGRAPHS --out CROPS` makes the crops, in `CROPS/images`. This trains the
network further on a folder with `images/` and `masks/`, into `models/trained.pt`:

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


def bundle_metadata(about: Provenance) -> dict[str, Any]:
    """Return the contents of `configs/metadata.json`."""
    size = about.settings.data.size
    image = {"modality": "RGB", "spatial_shape": [size, size], "dtype": "float32"}
    packages = ("fundus-uda", "segmentation-models-pytorch", "timm", "pytorch-ignite", "fire")
    scores = about.scores
    return {
        "schema": SCHEMA,
        "version": __version__,
        "changelog": {__version__: "exported by fundus-uda"},
        "monai_version": metadata.version("monai"),
        "pytorch_version": metadata.version("torch"),
        "numpy_version": metadata.version("numpy"),
        "required_packages_version": {name: _version(name) for name in packages},
        "supported_apps": {},
        "name": "Optic disc and cup",
        "task": "Segmentation of optic disc and cup in fundus photographs",
        "description": f"DeepLabv3+ after {about.step} updates of the method {about.method}, for "
        f"crops around the disc.",
        "authors": "The users of fundus-uda who trained it",
        "copyright": "Code and configs: Apache-2.0. Weights: see docs/data_license.txt",
        "data_source": "See docs/data_license.txt",
        "data_type": "RGB photographs, 8 bits",
        "image_classes": "RGB, pixels / 255, normalised with the mean and standard deviation of "
        "the encoder's pretraining (see configs/inference.yaml)",
        "label_classes": "one channel: 0 background, 1 rim, 2 cup",
        "pred_classes": "three channels, logits of background, rim and cup",
        "eval_metrics": {
            name: scores[name]["mean"]
            for name in DICE
            if scores and scores[name]["mean"] is not None
        },
        "intended_use": "Research. Not a medical device: not for diagnosis or treatment",
        "references": [
            "Zhou W. et al. Affinity Space Adaptation for Semantic Segmentation Across Domains. "
            "IEEE Transactions on Image Processing, 2020.",
            "Chen L.-C. et al. Encoder-Decoder with Atrous Separable Convolution for Semantic "
            "Image Segmentation. ECCV 2018.",
        ],
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "num_channels": 3,
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {"0": "red", "1": "green", "2": "blue"},
                    **image,
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "labels",
                    "num_channels": len(CLASSES),
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {str(index): name for index, name in enumerate(CLASSES)},
                    **image,
                }
            },
        },
    }


def inference(about: Provenance) -> dict[str, Any]:
    """Return the contents of `configs/inference.yaml`."""
    data = about.settings.data
    mean, std = map(list, input_statistics(about.settings.network.encoder))
    return {
        **_shared(about),
        "dataset_dir": "$@bundle_root + '/photographs'",
        "output_dir": "$@bundle_root + '/masks'",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": f"{STEPS}.ReadPhotograph"},
                {"_target_": "fundus_uda.data.transforms.fixed_transforms", "size": data.size},
                {"_target_": "ScaleIntensityRanged", "keys": "image",
                 "a_min": 0, "a_max": 255, "b_min": 0, "b_max": 1},
                {"_target_": "NormalizeIntensityd", "keys": "image", "channel_wise": True,
                 "subtrahend": f"$numpy.array({mean})", "divisor": f"$numpy.array({std})"},
                {"_target_": "EnsureTyped", "keys": "image", "track_meta": False},
            ],
        },
        "dataset": {
            "_target_": "Dataset",
            "data": "$steps.photographs_in(@dataset_dir)",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1,
                       "shuffle": False, "num_workers": 0},
        "inferer": {"_target_": f"{STEPS}.ViewsInferer", "flips": data.tta_flips},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": f"{STEPS}.MakeMask", "fill_cup_hull": data.fill_cup_hull},
                {"_target_": f"{STEPS}.WriteMask", "folder": "@output_dir"},
            ],
        },
        "handlers": [_loader("@network")],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
        },
        "run": ["$@evaluator.run()"],
    }  # fmt: skip


def training(about: Provenance) -> dict[str, Any]:
    """Return the contents of `configs/train.yaml`, which goes on from `models/model.pt`."""
    settings = about.settings
    mean, std = map(list, input_statistics(settings.network.encoder))
    return {
        **_shared(about),
        "dataset_dir": "$@bundle_root + '/labelled'",
        "ckpt_dir": "$@bundle_root + '/models'",
        "max_epochs": 20,
        "learning_rate": settings.segmenter.lr / 10,
        "loss": {"_target_": "torch.nn.CrossEntropyLoss"},
        "optimizer": {
            "_target_": "torch.optim.SGD",
            "params": "$@network.parameters()",
            "lr": "@learning_rate",
            "momentum": settings.segmenter.momentum,
            "weight_decay": settings.segmenter.weight_decay,
        },
        "train": {
            "preprocessing": {
                "_target_": "Compose",
                "transforms": [
                    {"_target_": f"{STEPS}.ReadPhotograph"},
                    {"_target_": "fundus_uda.data.transforms.fixed_transforms",
                     "size": settings.data.size},
                    {"_target_": "fundus_uda.data.transforms.plain_transforms",
                     "mean": mean, "std": std},
                ],
            },
            "dataset": {
                "_target_": "Dataset",
                "data": "$steps.labelled_in(@dataset_dir)",
                "transform": "@train#preprocessing",
            },
            "dataloader": {"_target_": "DataLoader", "dataset": "@train#dataset",
                           "batch_size": settings.batch_size, "shuffle": True, "drop_last": True,
                           "num_workers": 0},
            "inferer": {"_target_": "SimpleInferer"},
            "handlers": [
                _loader("@network"),
                {"_target_": "CheckpointSaver", "save_dir": "@ckpt_dir",
                 "save_dict": {"model": "@network"}, "save_final": True,
                 "final_filename": "trained.pt"},
            ],
            "trainer": {
                "_target_": "SupervisedTrainer",
                "device": "@device",
                "max_epochs": "@max_epochs",
                "train_data_loader": "@train#dataloader",
                "network": "@network",
                "optimizer": "@optimizer",
                "loss_function": "@loss",
                "inferer": "@train#inferer",
                "train_handlers": "@train#handlers",
            },
        },
        "run": ["$@train#trainer.run()"],
    }  # fmt: skip


def _shared(about: Provenance) -> dict[str, Any]:
    return {
        "imports": ["$import numpy", "$import torch", f"$import {STEPS} as steps"],
        "bundle_root": ".",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {
            "_target_": "segmentation_models_pytorch.DeepLabV3Plus",
            **architecture(about),
        },
        "network": "$@network_def.to(@device)",
    }


def _loader(network: str) -> dict[str, Any]:
    return {
        "_target_": "CheckpointLoader",
        "load_path": "$@bundle_root + '/models/model.pt'",
        "load_dict": {"model": network},
        "map_location": "@device",
    }


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


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # of the extra `export`, needed to run the bundle alone
        return "any"


def _license() -> str:
    """Return the licence of the code and the configs, from the installed package."""
    files = metadata.files("fundus-uda") or []
    found = [file for file in files if file.name == "LICENSE"]
    checkout = Path(__file__).parents[2] / "LICENSE"
    path = Path(str(found[0].locate())) if found else checkout
    return path.read_text(encoding="utf-8")
