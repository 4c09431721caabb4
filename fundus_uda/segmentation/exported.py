"""Networks that left a run as one file, read again without running code that it may contain.

A file of safetensors or of ONNX carries a text, a `Description`, beside the network: it is a MODEL
as a run folder is. `fundus_uda.export` writes both.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from fundus_uda.config.read import Settings
from fundus_uda.engine.checkpoint import (
    Checkpoint,
    DamagedCheckpointError,
    checksum,
    state_of_network,
)
from fundus_uda.engine.fingerprint import digest
from fundus_uda.engine.model_path import require_file
from fundus_uda.errors import InputError
from fundus_uda.masks.classes import CLASSES

DESCRIPTION = "fundus_uda"
"""Name of the description in the metadata of a file."""
FORMAT = 1


class Description(Settings):
    """What a network needs beside its weights, to go on as a model."""

    format: int = FORMAT
    classes: tuple[str, ...] = CLASSES
    settings: dict[str, Any]
    """Settings of the run, without the places of its data."""
    step: int
    label_shares: tuple[float, ...]
    checksum: str
    """Checksum of the weights of safetensors (see `engine.checkpoint.checksum`); "" in ONNX."""

    def as_checkpoint(self, weights: dict[str, Tensor]) -> Checkpoint:
        """Return a checkpoint of the network alone."""
        shares = torch.tensor(self.label_shares, dtype=torch.float64)
        state = state_of_network(weights, self.step, shares)
        return Checkpoint(state, self.settings, data={}, classes=len(self.classes))


@dataclass(frozen=True)
class ExportedNetwork:
    """A network that runs in another library, and its description."""

    network: nn.Module
    description: Description


class OnnxNetwork(nn.Module):
    """A network of an ONNX file, which onnxruntime computes on the CPU.

    Its state is the SHA-256 of the file, by which it is told from others.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.session = path, _session(path)
        sha256 = torch.frombuffer(bytearray.fromhex(digest(path)), dtype=torch.uint8)
        self.register_buffer("sha256", sha256)

    @property
    def encoder(self) -> nn.Module:
        """Refuse to be trained, which asks for the encoder.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"Expected a model with weights to train on from. Got: {self.path}, in which they are "
            f"compiled. Name the run that it came from."
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) float32 to logits (B, 3, H, W) on the device of the images."""
        (logits,) = self.session.run(["logits"], {"images": images.cpu().contiguous().numpy()})
        return torch.from_numpy(logits).to(images.device)


def read_safetensors(path: Path) -> Checkpoint:
    """Read a network that was exported as safetensors.

    Raises:
        InputError: no such file, another kind of file, or one of another program.
        DamagedCheckpointError: weights that are not those that were written.
    """
    require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DamagedCheckpointError(
            f"Expected a file of safetensors at {path}. Got: another kind of file, or a damaged "
            f"one ({type(error).__name__}). Copy it again, or export it anew."
        ) from None
    description = _described(metadata, path)
    if description.checksum != checksum(weights):
        raise DamagedCheckpointError(
            f"Expected the weights in {path} to match their checksum. Got: changed ones. Copy the "
            f"file again, or export it anew."
        )
    return description.as_checkpoint(weights)


def read_onnx(path: Path) -> ExportedNetwork:
    """Read a network that was exported to ONNX.

    Raises:
        InputError: no such file, another kind of file, one of another program, or onnxruntime is
            not installed.
    """
    require_file(path)
    network = OnnxNetwork(path)
    metadata = network.session.get_modelmeta().custom_metadata_map
    return ExportedNetwork(network, _described(metadata, path))


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise InputError(
            f"Expected the package onnxruntime, for {path}. Got: not installed. Run: "
            f"pip install onnxruntime"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an exception for each of its states
        raise InputError(
            f"Expected an ONNX file at {path}. Got: another kind of file, or a damaged one "
            f"({type(error).__name__}). Copy it again, or export it anew."
        ) from None


def _described(metadata: dict[str, str], path: Path) -> Description:
    if DESCRIPTION not in metadata:
        raise InputError(
            f"Expected a network that `fundus-uda export` wrote at {path}. Got: one of another "
            f"program, without the entry {DESCRIPTION} in its metadata."
        )
    try:
        description = Description.model_validate(json.loads(metadata[DESCRIPTION]))
    except (ValueError, ValidationError):
        description = None
    if description is None or description.format != FORMAT:
        raise InputError(
            f"Expected the description of a network in format {FORMAT} in {path}. Got: another. "
            f"Export the network anew with this version."
        )
    return description
