import pytest

from fundus_uda.engine.schedules import adversarial_weight, poly_lr


def test_poly_lr_by_hand():
    assert poly_lr(2.5e-4, 0, 100, 0.9) == 2.5e-4
    assert poly_lr(2.5e-4, 50, 100, 0.9) == pytest.approx(2.5e-4 * 0.5**0.9)
    assert poly_lr(1.0, 99, 100, 0.9) == pytest.approx(0.01**0.9)


def test_damping_falls_linearly_and_is_off_otherwise():
    assert adversarial_weight(0.001, 25, 100, damping=True) == pytest.approx(0.00075)
    assert adversarial_weight(0.001, 25, 100, damping=False) == 0.001
