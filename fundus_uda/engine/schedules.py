"""Learning rates and loss weights as functions of the step, so that no schedule is saved."""


def poly_lr(base_lr: float, step: int, steps: int, power: float) -> float:
    """Compute base_lr * (1 - step / steps) ** power, for step in [0, steps) (Section IV-B)."""
    return float(base_lr * (1 - step / steps) ** power)


def adversarial_weight(weight: float, step: int, steps: int, damping: bool) -> float:
    """Return lambda of Eq. 6; with damping, times (1 - step / steps) as in the released code."""
    return weight * (1 - step / steps) if damping else weight
