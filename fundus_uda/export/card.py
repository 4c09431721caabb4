"""The model card: what a network is, what it learnt from, how well it did, and its limits."""

from fundus_uda.config.yaml_text import as_yaml
from fundus_uda.export.provenance import Dataset, Provenance
from fundus_uda.masks.dice import DICE
from fundus_uda.networks import input_statistics

NAMES = dict(zip(DICE, ("cup", "disc", "mean of both"), strict=True))
LABEL_FREE = {
    "estimated_dice": "estimated Dice, mean of cup and disc",
    "mean_affinity": "mean affinity between neighbouring pixels of the prediction",
    "effective_classes": "classes in the prediction, effective number",
    "collapsed": "prediction collapsed",
}
UNKNOWN = "an unknown number of"


def model_card(about: Provenance, use: str) -> str:
    """Write the card of a network in Markdown.

    Args:
        about: origin of the network.
        use: how to use it, in the format that it is written in (Markdown).
    """
    settings = about.settings
    sections = {
        "Use": use,
        "Input and output": _input_and_output(about),
        "Training": _training(about),
        "Scores": _scores(about),
        "Quality without labels": _label_free(about),
        "Intended use and limits": _LIMITS,
        "Data and terms": data_terms(about),
        "Settings": f"```yaml\n{as_yaml(settings.model_dump(mode='json'))}```",
    }
    title = "# Optic disc and cup, adapted to a camera" if about.target else "# Optic disc and cup"
    return f"{title}\n\n{_SUMMARY}\n" + "".join(
        f"\n## {name}\n\n{text.strip()}\n" for name, text in sections.items()
    )


_SUMMARY = (
    "Segmentation of the optic disc and cup in colour photographs of the fundus, cropped around "
    "the disc.\nMade with fundus-uda, which adapts such a network to another camera's photographs "
    "without labels.\n\n> For research. **Not a medical device**: do not use its output for "
    "diagnosis or treatment."
)
_LIMITS = """
- It is for research on photographs of the camera that it was adapted to, or trained on. On another
  camera's it may fail without a sign: adapt it first.
- It sees a square crop around the optic disc, in which the disc has about 0.6 of the side. It does
  not find the disc in a whole photograph; `fundus-uda predict` does.
- An outline can be wrong and look firm. Check it before its measurements are used; the cup's edge
  is the least certain, and cups tend to be drawn small.
- It was not tested for populations, diseases or devices beyond the data below.
"""


def data_terms(about: Provenance) -> str:
    """List the data that a network learnt from, and their terms."""
    lines = [
        f"- {role}: `{data.kind}`. Terms: {data.terms}."
        for role, data in (
            ("labelled", about.source),
            ("unlabelled", about.target),
            ("outlined", about.outlined),
        )
        if data is not None
    ]
    if about.starts_from:
        lines.append("- those of the network that its run went on from, which are not listed here.")
    if (first := about.settings.network.weights) != "random":
        name = "a file that is not known" if first == "a file" else "ImageNet (research use)"
        lines.append(f"- first weights of the encoder: those of {name}.")
    return "\n".join(lines) + "\n\nThe weights may be used as far as all of these terms allow."


def _input_and_output(about: Provenance) -> str:
    mean, std = (", ".join(map(str, v)) for v in input_statistics(about.settings.network.encoder))
    size = about.settings.data.size
    return (
        f"Input: RGB, (B, 3, {size}, {size}) float32. The crop's longer side is resized to {size}, "
        f"the rest padded\nwith black; pixels are divided by 255, then normalised with mean "
        f"({mean}) and standard deviation\n({std}).\n\n"
        f"Output: logits (B, 3, {size}, {size}) of background, rim and cup. The disc is rim and "
        f"cup together."
    )


def _training(about: Provenance) -> str:
    settings = about.settings
    lines = [
        f"- Method: {about.method}, {about.step} updates of {settings.batch_size} photographs, "
        f"seed {settings.seed}"
        + (", going on from another network." if about.starts_from else "."),
        f"- Network: DeepLabv3+ with the encoder `{settings.network.encoder}`.",
        f"- Source, with labels: {_described(about.source)}.",
        f"- Target, without labels: {_described(about.target)}.",
        f"- Target, outlined by a reader: {_described(about.outlined)}.",
        "- Versions: " + ", ".join(f"{k} {v}" for k, v in about.versions.items()) + ".",
    ]
    return "\n".join(lines)


def _described(data: Dataset | None) -> str:
    if data is None:
        return "none"
    count = UNKNOWN if data.photographs is None else str(data.photographs)
    return f"{count} photographs of the kind `{data.kind}`"


def _scores(about: Provenance) -> str:
    if about.scores is None:
        return "None are known: the run had no labelled test set."
    rows = []
    for key, name in NAMES.items():
        found = about.scores[key]
        if found["mean"] is None:
            continue
        low, high = found["ci95"] or (found["mean"], found["mean"])
        rows.append(f"| {name} | {found['mean']:.3f} | {low:.3f} to {high:.3f} | {found['n']} |")
    table = "| Dice | mean | 95 % interval | photographs |\n|---|---|---|---|\n" + "\n".join(rows)
    return f"On `{about.scores['data']}`, scored after training:\n\n{table}"


def _label_free(about: Provenance) -> str:
    if not about.label_free:
        return "None was measured."
    lines = [
        f"- {LABEL_FREE[name]}: {value if isinstance(value, bool) else f'{value:.4f}'}"
        for name, value in about.label_free.items()
    ]
    return "On the target's training photographs:\n\n" + "\n".join(lines)
