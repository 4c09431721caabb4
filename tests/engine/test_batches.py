import multiprocessing
import os
import signal
import time
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import torch

from fundus_uda.engine import batches
from fundus_uda.engine.batches import Batch, batch_keys, batch_stream, evenly_spaced
from fundus_uda.errors import InputError
from fundus_uda.stops import SIGNALS
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


class Views(TinyImages):
    """Also with `strong`, its image in other colours."""

    def __getitem__(self, key):
        sample = super().__getitem__(key)
        return {**sample, "strong": sample["image"] + 1}


def views(length):
    return batch_stream(
        Views(length), batch_size=2, seed=0, domain="target", start=0, workers=0, pin_memory=False
    )


def test_workers_and_pinned_memory_are_asked_of_the_loader(monkeypatch):
    asked = []

    def loader(dataset, **options):
        asked.append((len(dataset), options["num_workers"], options["pin_memory"]))
        return []

    monkeypatch.setattr(batches, "DataLoader", loader)
    options = {"batch_size": 2, "seed": 0, "domain": "target", "start": 0}
    assert list(batch_stream(TinyImages(5), workers=3, pin_memory=True, **options)) == []
    assert asked == [(5, 3, True)]


def test_a_batch_has_all_that_its_samples_have():
    batch = next(views(3))
    assert batch.image.shape == (2, 3, 32, 32)
    assert batch.label.shape == (2, 32, 32)
    assert torch.equal(batch.strong, batch.image + 1)
    bare = next(
        batch_stream(
            TinyImages(3, labelled=False),
            batch_size=2, seed=0, domain="target", start=0, workers=0, pin_memory=False,
        )
    )  # fmt: skip
    assert (bare.label, bare.strong) == (None, None)


def test_all_of_a_batch_is_moved_and_its_images_laid_out():
    meta = torch.device("meta")
    moved = next(views(3)).to(meta, torch.channels_last)
    assert [tensor.device for tensor in moved] == [meta] * 3
    for image in (moved.image, moved.strong):
        assert image.is_contiguous(memory_format=torch.channels_last)
        assert not image.is_contiguous()
    assert Batch(torch.zeros(1, 3, 2, 2)).to(meta, torch.contiguous_format)[1:] == (None, None)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_what_a_dataset_refuses_is_said_in_its_own_words(workers):
    class Refuses(TinyImages):
        def __getitem__(self, key):
            raise InputError("Expected a readable image. Got: none.")

    stream = batch_stream(
        Refuses(1), batch_size=1, seed=0, domain="source", start=0, workers=workers,
        pin_memory=False,
    )  # fmt: skip
    with pytest.raises(InputError) as caught:
        next(stream)
    assert str(caught.value) == "Expected a readable image. Got: none."


def test_an_order_without_shuffling_is_that_of_the_list():
    keys = [key for step in range(3) for key in batch_keys(3, 2, 0, "source", step, shuffle=False)]
    assert [key.sample for key in keys] == [0, 1, 2, 0, 1, 2]
    assert len({key.seed for key in keys}) == 6
    stream = batch_stream(
        TinyImages(3), batch_size=2, seed=0, domain="source", start=0, workers=0,
        pin_memory=False, shuffle=False,
    )  # fmt: skip
    label = TinyImages(3)[batch_keys(3, 1, 0, "source", 0, shuffle=False)[0]]["label"]
    assert torch.equal(next(stream).label[0], label)


def load_and_be_killed(pids):
    """Load a batch with two processes, tell their ids, and die without a word to them."""
    batches = stream(workers=2)
    next(batches)
    pids.send([child.pid for child in multiprocessing.active_children()])
    os.kill(os.getpid(), signal.SIGKILL)


def ended(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_no_process_that_loads_outlives_a_killed_parent():
    fork = multiprocessing.get_context("fork")
    mine, theirs = fork.Pipe(duplex=False)
    parent = fork.Process(target=load_and_be_killed, args=(theirs,))
    parent.start()
    pids = mine.recv()
    parent.join()
    assert len(pids) == 2
    until = time.monotonic() + 60
    while not all(map(ended, pids)) and time.monotonic() < until:
        time.sleep(0.1)
    assert all(map(ended, pids))


@pytest.mark.usefixtures("signals")
def test_processes_that_load_leave_signals_to_their_parent_and_end_with_the_stream():
    batches, before = stream(workers=2), set(multiprocessing.active_children())
    first = [next(batches), next(batches)]  # one of each child, which is then ready
    children = set(multiprocessing.active_children()) - before
    assert len(children) == 2
    for child in children:
        for number in SIGNALS:
            os.kill(child.pid, number)
    expected = stream()
    for batch in first:
        assert torch.equal(batch.image, next(expected).image)
    assert torch.equal(next(batches).image, next(expected).image)
    batches.close()
    for child in children:
        child.join(30)
        assert child.exitcode == 0


@pytest.mark.parametrize(
    ("count", "taken"), [(1, [0]), (2, [0, 4]), (3, [0, 2, 4]), (9, [0, 1, 2, 3, 4])]
)
def test_items_are_taken_from_the_first_to_the_last(count, taken):
    assert evenly_spaced(range(5), count) == taken
