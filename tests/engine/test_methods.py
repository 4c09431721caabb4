from typing import get_args

import pytest
import torch

from fundus_uda.affinity import affinity_cleaning_loss, affinity_space, entropy_loss
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.settings import AffinitySettings, MethodName

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


def test_only_cleaning_also_acts_on_the_source():
    assert {name for name, m in METHODS.items() if m.regularises_source} == {"asc", "asa_asc"}
