"""A network as one file of safetensors: weights, settings and card, read without running code."""

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from fundus_uda.engine.checkpoint import checksum
from fundus_uda.export.card import model_card
from fundus_uda.export.provenance import Provenance
from fundus_uda.segmentation.exported import DESCRIPTION, Description
from fundus_uda.segmentation.model import Model

USE = """
The file is a MODEL for every command, and for Python:

```
fundus-uda predict model.safetensors photographs --out predictions
```
```python
import fundus_uda

mask = fundus_uda.load_model("model.safetensors").outline(photograph)  # (H, W, 3) to (H, W)
```
"""


def write(model: Model, about: Provenance, out: Path, half: bool = False) -> str:
    """Write the file; its metadata hold a `Description`, the card and the format "pt".

    Args:
        model: model to write.
        about: its origin.
        out: new file.
        half: whether to write the kernels of convolutions in half precision, for a file of half
            the size. Batch-norm statistics, whose range is wider, stay as they are.
    """
    write_weights(model, about, out, model_card(about, USE), half)
    return "Its metadata hold settings and card; it is a MODEL for every command."


def write_weights(
    model: Model, about: Provenance, out: Path, card: str, half: bool = False
) -> None:
    """Write the weights of a network, with a description and a card."""
    weights = plain_weights(model)
    if half:
        weights = {name: w.half() if w.ndim > 1 else w for name, w in weights.items()}
    description = described(model, about, checksum(weights)).model_dump_json()
    metadata = {"format": "pt", DESCRIPTION: description, "card": card}
    save_file(weights, out, metadata)


def plain_weights(model: Model) -> dict[str, Tensor]:
    """Return the weights of a network on the CPU, each in memory of its own, rows first."""
    state = model.network.state_dict()
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}


def described(model: Model, about: Provenance, weights: str) -> Description:
    """Describe a network whose weights have this checksum."""
    return Description(
        settings=about.settings.model_dump(mode="json"),
        step=model.step,
        label_shares=tuple(float(share) for share in model.label_shares),
        checksum=weights,
    )
