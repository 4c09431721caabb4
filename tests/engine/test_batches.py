from collections import Counter
from itertools import islice

import pytest
import torch

from fundus_uda.engine.batches import batch_keys, batch_stream
from fundus_uda.errors import InputError
from tests.fixtures.tiny_engine import TinyImages


def stream(length=5, start=0, workers=0, domain="source"):
    return batch_stream(
        TinyImages(length),
        batch_size=4,
        seed=0,
        domain=domain,
        start=start,
        workers=workers,
        pin_memory=False,
    )


def test_every_epoch_visits_each_sample_once():
    keys = [key for step in range(5) for key in batch_keys(5, 4, 0, "source", step)]
    for epoch in range(4):
        assert sorted(key.sample for key in keys[5 * epoch : 5 * epoch + 5]) == [0, 1, 2, 3, 4]
    assert Counter(key.sample for key in keys) == dict.fromkeys(range(5), 4)


def test_orders_differ_between_epochs_domains_and_seeds():
    def order(seed, domain, first):
        return [
            key.sample
            for step in (first, first + 1)
            for key in batch_keys(8, 4, seed, domain, step)
        ]

    orders = [
        order(0, "source", 0),
        order(0, "source", 2),
        order(0, "target", 0),
        order(1, "source", 0),
    ]
    assert len({tuple(o) for o in orders}) == 4


def test_a_sample_is_transformed_anew_each_epoch():
    first, second = (batch_keys(1, 1, 0, "source", step)[0] for step in (0, 1))
    assert first.sample == second.sample
    assert first.seed != second.seed


def test_a_stream_from_a_later_step_continues_the_stream():
    whole = list(islice(stream(), 6))
    rest = list(islice(stream(start=2), 4))
    for one, other in zip(whole[2:], rest, strict=True):
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.label, other.label)


@pytest.mark.slow
def test_workers_do_not_change_what_a_step_sees():
    for one, other in zip(islice(stream(), 4), islice(stream(workers=2), 4), strict=True):
        assert torch.equal(one.image, other.image)


def test_a_stream_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    next(stream())
    assert torch.equal(before, torch.get_rng_state())


def test_an_empty_domain_is_refused():
    with pytest.raises(InputError, match="at least one target image. Got: none"):
        next(stream(length=0, domain="target"))
