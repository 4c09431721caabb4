from dataclasses import replace

from fundus_uda.export.card import model_card
from fundus_uda.export.provenance import Dataset, provenance_of
from fundus_uda.segmentation.model import load_model


def test_the_card_says_what_a_reader_must_know(seeing_run):
    about = provenance_of(load_model(seeing_run, "cpu"), seeing_run, "last")
    target = Dataset("drishti-gs#train", None, "research use")
    card = model_card(replace(about, target=target, starts_from=True), "Run it.")
    assert card.startswith("# Optic disc and cup, adapted to a camera\n")
    headings = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        "Use", "Input and output", "Training", "Scores", "Quality without labels",
        "Intended use and limits", "Data and terms", "Settings",
    ]  # fmt: skip
    for told in (
        "**Not a medical device**",
        "\n\nRun it.\n",
        "Source, with labels: 8 photographs of the kind `folder`.",
        "Target, without labels: an unknown number of photographs of the kind `drishti-gs#train`.",
        "- unlabelled: `drishti-gs#train`. Terms: research use.",
        "those of the network that its run went on from",
        "| disc |",
        "seed: 0",
        "(B, 3, 64, 64)",
    ):
        assert told in card, told


def test_what_is_not_known_is_said(seeing_run):
    about = provenance_of(load_model(seeing_run, "cpu"), seeing_run, "last")
    card = model_card(replace(about, scores=None, label_free={}), "Run it.")
    assert "None are known: the run had no labelled test set." in card
    assert "None was measured." in card
