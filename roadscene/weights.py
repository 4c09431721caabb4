"""Loading of published weights into DeepLab-v2, with a report on their tensors.

The files may be checkpoints of AdaptSegNet, ADVENT, MaxSquare, BDL and ASANet, the ResNet-101 and
VGG-16 files of torchvision and Caffe, and runs of this program. They differ in nesting
(`state_dict`), in prefixes (`module.`, `Scale.`) and in the role of `layer5`: it is the main head
in files with one head and the auxiliary one in files with two. A head is therefore identified by
its shape alone.
"""

import codecs
import re
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from fundus_uda.errors import InputError
from fundus_uda.networks import named_tensors
from fundus_uda.torch_file import UnreadableError, read_torch_file
from roadscene.deeplab_v2 import RATES, DeepLabV2

ROOTS = re.compile(r"(?:^|.*?\.)((?:conv1|bn1|layer[1-6]|features|classifier|fc)\..*)")
"""Key from its first part that names a module of the network; parts before it are wrappers."""

_SCALAR: Any = np.float64(0).__reduce__()[0]
_BESIDE_TENSORS: tuple[Any, ...] = (  # MaxSquare keeps its score there; others keep their options
    Namespace,
    (_SCALAR, "numpy.core.multiarray.scalar"),  # its name in numpy 1
    _SCALAR,
    np.dtype,
    type(np.dtype(np.float64)),
    codecs.encode,
)


@dataclass
class LoadReport:
    """Report on the tensors of a file."""

    source: str
    loaded: list[str] = field(default_factory=list)
    """Keys of the network that were filled."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Keys of the file that were not used, with the reason."""
    left: list[str] = field(default_factory=list)
    """Keys of the network that the file does not fill and that keep their initial values."""
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        reasons: dict[str, list[str]] = {}
        for key, reason in self.skipped.items():
            reasons.setdefault(reason, []).append(key)
        lines = [f"{self.source}: {len(self.loaded)} tensors loaded"]
        lines += [f"  skipped {_some(keys)}: {reason}" for reason, keys in reasons.items()]
        lines += [f"  left as initialised: {_some(self.left)}"] if self.left else []
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def load_file(network: DeepLabV2, path: Path, require_main_head: bool = False) -> LoadReport:
    """Fill a network from a file of weights (see `load_tensors`).

    Raises:
        InputError: no such file, not weights, or see `load_tensors`.
    """
    return load_tensors(network, read_tensors(path), str(path), require_main_head)


def load_tensors(
    network: DeepLabV2, tensors: dict[str, Tensor], source: str, require_main_head: bool = False
) -> LoadReport:
    """Fill a network from named tensors: its whole body, and the heads that fit.

    Args:
        network: network to fill in place.
        tensors: tensors from `read_tensors`.
        source: name of the tensors in the report and in errors.
        require_main_head: whether to refuse tensors without a fitting main head, as for
            evaluation. Otherwise the head keeps its initial values, as for training from ImageNet
            weights.

    Raises:
        InputError: a body of another architecture, or the main head is missing or has another
            number of classes.
    """
    report = LoadReport(source)
    wanted = network.state_dict()
    heads = _match_heads(network, tensors)
    filled: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        target, reason = _target(key, heads, _vgg_shift(tensors))
        if reason is None and target not in wanted:
            reason = "no such tensor in this network"
        if reason is None and tensor.shape != wanted[target].shape:
            raise _other_architecture(
                network, source, f"{key} of shape {tuple(tensor.shape)}, not "
                f"{tuple(wanted[target].shape)}",
            )  # fmt: skip
        if reason is None:
            filled[target] = tensor
        else:
            report.skipped[key] = reason
    report.loaded = list(filled)
    report.left = [k for k in wanted if k not in filled and "num_batches_tracked" not in k]
    _require_body(network, report, tensors)
    if require_main_head and f"{network.main_head}.conv2d_list.0.weight" not in filled:
        reasons = [r for k, r in report.skipped.items() if "conv2d_list.0.weight" in k]
        raise InputError(
            f"Expected a main head of {_classes(network)} classes in {source}. "
            f"Got: {'; '.join(reasons) or 'no head'}."
        )
    network.load_state_dict(filled, strict=False)
    _note_untrained_branches(network, report)
    return report


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the named tensors of a file, without their nesting and the prefixes of wrappers.

    Raises:
        InputError: no such file, or a file without named tensors.
    """
    try:
        contents = read_torch_file(path, _BESIDE_TENSORS)
    except FileNotFoundError:
        raise InputError(f"Expected weights at {path}. Got: no such file.") from None
    except UnreadableError as error:
        raise InputError(f"Expected weights at {path}. Got: {error}.") from None
    if isinstance(contents, dict) and isinstance(contents.get("state"), dict):
        contents = contents["state"].get("segmenter")  # a run of this program
    named = named_tensors(contents)
    if not named:
        raise InputError(f"Expected named tensors in {path}. Got: another kind of file.")
    tensors: dict[str, Tensor] = {}
    for key, value in named.items():  # of several networks, the first in the file
        tensors.setdefault(_without_wrappers(key), value)
    return tensors


def _without_wrappers(key: str) -> str:
    match = ROOTS.match(key)
    return match.group(1) if match else key


def _match_heads(network: DeepLabV2, tensors: dict[str, Tensor]) -> dict[str, tuple[str, str]]:
    """Match each head of the file to the network's head, or to "" and the reason for none."""
    ours = {head.in_channels: name for name, head in network.heads().items()}
    matched: dict[str, tuple[str, str]] = {}
    for key, weight in tensors.items():
        name, found, _ = key.partition(".conv2d_list.0.weight")
        if found:
            classes, channels = (*weight.shape, 0, 0)[:2]
            if channels not in ours:
                matched[name] = ("", f"a head on {channels} channels, which this network lacks")
            elif classes != _classes(network):
                matched[name] = ("", f"a head of {classes} classes, not {_classes(network)}")
            else:
                matched[name] = (ours[channels], "")
    return matched


def _target(key: str, heads: dict[str, tuple[str, str]], vgg_shift: bool) -> tuple[str, str | None]:
    """Return the network's key for a key of the file, or the reason why there is none."""
    name, found, rest = key.partition(".conv2d_list.")
    if found:
        head, reason = heads.get(name, ("", "a head without its first branch"))
        return f"{head}{found}{rest}", reason or None
    if key.startswith(("fc.", "classifier.")):
        return key, "a classifier of whole images"
    if vgg_shift and (match := re.fullmatch(r"features\.(\d{1,3})\.(.+)", key)):
        index, rest = int(match[1]), match[2]
        return f"features.{index - (index > 23)}.{rest}", None
    return key, None


def _vgg_shift(tensors: dict[str, Tensor]) -> bool:
    """Return whether the tensors are of a whole VGG-16, whose fourth pooling DeepLab omits."""
    return "features.28.weight" in tensors


def _require_body(network: DeepLabV2, report: LoadReport, tensors: dict[str, Tensor]) -> None:
    fc = ("features.29.", "features.31.") if _vgg_shift(tensors) else ()
    missing = [k for k in report.left if not k.startswith((*network.heads(), *fc))]
    if missing:
        raise _other_architecture(
            network, report.source, f"a file without {len(missing)} tensors, such as {missing[0]}"
        )


def _other_architecture(network: DeepLabV2, source: str, found: str) -> InputError:
    return InputError(
        f"Expected weights of {type(network).__name__} in {source}. Got: {found}. "
        f"Set network.backbone to that of the file."
    )


def _note_untrained_branches(network: DeepLabV2, report: LoadReport) -> None:
    """Note branches that were never summed: they keep their initial standard deviation, 0.01."""
    for name, head in network.heads().items():
        untrained = [
            rate
            for branch, rate in enumerate(RATES[2:], start=2)
            if (key := f"{name}.conv2d_list.{branch}.weight") in report.loaded
            and abs(float(network.get_parameter(key).detach().std()) - 0.01) < 1e-4
        ]
        if untrained and head.branches == 4:
            report.notes.append(
                f"{name}: the branches of rates {untrained} look untrained. If these weights are "
                f"of a model that sums two, set network.aspp_branches=2."
            )


def _classes(network: DeepLabV2) -> int:
    return network.heads()[network.main_head].classes


def _some(keys: list[str]) -> str:
    shown = ", ".join(sorted(keys)[:3])
    return f"{shown} and {len(keys) - 3} more" if len(keys) > 3 else shown
