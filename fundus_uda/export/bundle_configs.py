"""What a MONAI bundle says of itself, and its configs of inference and of training."""

from importlib import metadata
from typing import Any

from fundus_uda import __version__
from fundus_uda.export.hugging_face import architecture
from fundus_uda.export.provenance import Provenance
from fundus_uda.masks.classes import CLASSES
from fundus_uda.masks.dice import DICE
from fundus_uda.networks import input_statistics

SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
STEPS = "fundus_uda.export.bundle_steps"


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
    return {
        **_shared(about),
        "dataset_dir": "$@bundle_root + '/photographs'",
        "output_dir": "$@bundle_root + '/masks'",
        "preprocessing": _preprocessing(about),
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
                {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir",
                 "output_ext": ".png", "output_postfix": "", "output_dtype": "$numpy.uint8",
                 "separate_folder": False, "resample": False, "writer": "PILWriter",
                 "print_log": False},
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
        "val_dataset_dir": None,
        "val_interval": 1,
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
                           "batch_size": f"$min({settings.batch_size}, len(@train#dataset))",
                           "shuffle": True, "drop_last": True, "num_workers": 0},
            "inferer": {"_target_": "SimpleInferer"},
            "handlers": [
                _loader("@network"),
                {"_target_": "ValidationHandler", "validator": "@validate#evaluator",
                 "interval": "@val_interval", "_disabled_": "$not @validate#dataset#data"},
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
        "validate": {
            "preprocessing": _preprocessing(about),
            "dataset": {
                "_target_": "Dataset",
                "data": "$steps.labelled_in(@val_dataset_dir) if @val_dataset_dir else []",
                "transform": "@validate#preprocessing",
            },
            "dataloader": {"_target_": "DataLoader", "dataset": "@validate#dataset",
                           "batch_size": 1, "shuffle": False, "num_workers": 0},
            "inferer": {"_target_": "SimpleInferer"},
            "postprocessing": {
                "_target_": "Compose",
                "transforms": [
                    {"_target_": "AsDiscreted", "keys": "pred", "argmax": True,
                     "to_onehot": len(CLASSES)},
                    {"_target_": "AsDiscreted", "keys": "label", "to_onehot": len(CLASSES)},
                ],
            },
            "key_metric": {
                "dice_rim_and_cup": {
                    "_target_": "MeanDice",
                    "include_background": False,
                    "output_transform": "$monai.handlers.from_engine(['pred', 'label'])",
                }
            },
            "handlers": [{"_target_": "StatsHandler", "iteration_log": False}],
            "evaluator": {
                "_target_": "SupervisedEvaluator",
                "device": "@device",
                "val_data_loader": "@validate#dataloader",
                "network": "@network",
                "inferer": "@validate#inferer",
                "postprocessing": "@validate#postprocessing",
                "key_val_metric": "@validate#key_metric",
                "val_handlers": "@validate#handlers",
            },
        },
        "run": ["$@train#trainer.run()"],
    }  # fmt: skip


def _preprocessing(about: Provenance) -> dict[str, Any]:
    """Return the steps from files to what the network sees, without augmentation."""
    mean, std = map(list, input_statistics(about.settings.network.encoder))
    return {
        "_target_": "Compose",
        "transforms": [
            {"_target_": f"{STEPS}.ReadPhotograph"},
            {"_target_": "fundus_uda.data.transforms.fixed_transforms",
             "size": about.settings.data.size},
            {"_target_": "ScaleIntensityRanged", "keys": "image",
             "a_min": 0, "a_max": 255, "b_min": 0, "b_max": 1},
            {"_target_": "NormalizeIntensityd", "keys": "image", "channel_wise": True,
             "subtrahend": f"$numpy.array({mean})", "divisor": f"$numpy.array({std})"},
            {"_target_": "EnsureTyped", "keys": "image"},
        ],
    }  # fmt: skip


def _shared(about: Provenance) -> dict[str, Any]:
    return {
        "imports": [
            "$import numpy",
            "$import torch",
            "$import monai.handlers",
            f"$import {STEPS} as steps",
        ],
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


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # of the extra `export`, needed to run the bundle alone
        return "any"
