from typing import get_args

import pytest
import torch

from fundus_uda.affinity import (
    affinity_cleaning_loss,
    affinity_space,
    entropy_loss,
    maximum_squares_loss,
    self_information,
)
from fundus_uda.engine.methods import METHODS, training_domains
from fundus_uda.engine.settings import AffinitySettings, MethodName
from fundus_uda.errors import InputError

PROB = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)).softmax(dim=1)


def test_every_name_that_settings_accept_is_a_row():
    assert set(METHODS) == set(get_args(MethodName))


@pytest.mark.parametrize(
    ("name", "channels", "regularised", "adapts"),
    [
        ("source", None, False, False),
        ("oracle", None, False, False),
        ("adaptsegnet", 3, False, True),
        ("advent", 3, False, True),
        ("minent", None, True, True),
        ("maxsquare", None, True, True),
        ("asc", None, True, True),
        ("asa", 24, False, True),
        ("asa_asc", 24, True, True),
        ("self_training", None, False, True),
        ("cbst", None, False, True),
        ("adabn", None, False, True),
        ("mean_teacher", None, False, True),
    ],
)
def test_rows_are_those_of_the_table(name, channels, regularised, adapts):
    method = METHODS[name]
    sees = method.discriminator_input
    assert (sees(PROB, AffinitySettings()).shape[1] if sees else None) == channels
    assert (method.regulariser is not None) == regularised
    assert method.adapts == adapts


def test_rows_pass_the_affinity_settings_on():
    four = AffinitySettings(neighbors=4, measure="released", similarity="dot", reduction="sum")
    expected_space = affinity_space(PROB, 4, "released")
    expected_loss = affinity_cleaning_loss(PROB, 4, "dot", "sum")
    assert torch.equal(METHODS["asa"].discriminator_input(PROB, four), expected_space)
    assert torch.equal(METHODS["asc"].regulariser(PROB, four), expected_loss)
    assert torch.equal(METHODS["minent"].regulariser(PROB, four), entropy_loss(PROB))
    assert torch.equal(METHODS["maxsquare"].regulariser(PROB, four), maximum_squares_loss(PROB))
    assert torch.equal(METHODS["adaptsegnet"].discriminator_input(PROB, four), PROB)
    assert torch.equal(METHODS["advent"].discriminator_input(PROB, four), self_information(PROB))


def test_only_cleaning_also_acts_on_the_source():
    assert {name for name, m in METHODS.items() if m.regularises_source} == {"asc", "asa_asc"}


def test_teachers_and_the_use_of_the_source_are_those_of_the_table():
    def names(attribute, value):
        return {name for name, m in METHODS.items() if getattr(m, attribute) == value}

    assert names("teacher", "frozen") == {"self_training", "cbst"}
    assert names("teacher", "mean") == {"mean_teacher"}
    assert names("without_source", True) == {"self_training", "adabn"}
    assert names("class_balanced", True) == {"cbst"}
    assert names("statistics_only", True) == {"adabn"}
    aligned = {"adaptsegnet", "advent", "asa", "asa_asc"}
    assert names("needs_source", True) == aligned | {"source", "oracle"}


def test_titles_are_those_of_the_papers_tables():
    assert {name: method.title for name, method in METHODS.items()} == {
        "source": "Source only",
        "oracle": "Oracle",
        "adaptsegnet": "AdaptSegNet",
        "advent": "ADVENT",
        "minent": "MinEnt",
        "maxsquare": "MaxSquare",
        "asc": "ASC",
        "asa": "ASA",
        "asa_asc": "ASA + ASC",
        "self_training": "ST",
        "cbst": "CBST",
        "adabn": "AdaBN",
        "mean_teacher": "Mean teacher",
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("source", ("s", None)),
        ("oracle", ("t", None)),
        ("self_training", (None, "t")),
        ("adabn", (None, "t")),
        *((name, ("s", "t")) for name in METHODS
          if name not in ("source", "oracle", "self_training", "adabn")),
    ],
)  # fmt: skip
def test_a_run_reads_the_domains_that_its_method_uses(name, expected):
    assert training_domains(name, "s", "t") == expected
    if name == "source":
        assert training_domains(name, "s", None) == ("s", None)
        return
    with pytest.raises(InputError, match=f"data.target for the method {name}. Got: none"):
        training_domains(name, "s", None)


def test_only_cbst_chooses_pseudo_labels_over_the_whole_target():
    assert {name for name, m in METHODS.items() if m.class_balanced} == {"cbst"}
    assert METHODS["cbst"].teacher == "frozen"
    assert not METHODS["cbst"].without_source
