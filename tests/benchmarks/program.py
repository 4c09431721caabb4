"""The rest of the program: a step per method, loading, and prediction."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from fundus_uda.clinic.listing import list_photographs
from fundus_uda.clinic.locate import locate_disc
from fundus_uda.clinic.predict import predict
from fundus_uda.clinic.reading import read
from fundus_uda.data.images import FundusImages
from fundus_uda.data.samples import Sample
from fundus_uda.data.synthetic import render
from fundus_uda.data.transforms import (
    plain_transforms,
    strong_transforms,
    weak_strong_transforms,
)
from fundus_uda.engine.batches import Batch, SampleKey
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.state import build_state
from fundus_uda.engine.step import adaptation_step
from fundus_uda.networks import input_statistics
from fundus_uda.segmentation.model import Model, build_network
from fundus_uda.segmentation.prediction import outline
from fundus_uda.segmentation.settings import read_settings as read_fundus
from fundus_uda.segmentation.training import initial_state
from roadscene.model import parameter_groups, random_network
from roadscene.settings import read_settings as read_streets
from tests.benchmarks.measure import Row, Work, compare
from tests.fixtures.fields import whole_field

CPU, LAST = torch.device("cpu"), torch.channels_last


def _step(application: str, experiment: str, *overrides: str) -> Work:
    """A step of an experiment of the CPU profile, on random images of its size."""
    if application == "fundus":
        settings = read_fundus(f"cpu/{experiment}", ["start=null", *overrides])
        state, size = initial_state(settings, torch.ones(3), CPU), (settings.data.size,) * 2
    else:
        settings = read_streets(f"cpu/{experiment}", ["start=null", *overrides])
        network, shares = random_network(settings), torch.ones(settings.data.classes)
        groups = parameter_groups(network, settings)
        state, size = build_state(network, groups, shares, settings, CPU), settings.data.source_size
    image = torch.randn(settings.batch_size, 3, *size).contiguous(memory_format=LAST)
    label = torch.randint(0, len(state.label_shares), (settings.batch_size, *size))
    target = Batch(image) if METHODS[settings.method].adapts else None
    return lambda: adaptation_step(state, Batch(image, label), target, settings)


def steps(pairs: int = 3) -> Iterator[Row]:
    """Measure a step of several methods, at two strides, and with discriminators in bfloat16."""
    low = "discriminator.precision=bfloat16"
    for application in ("fundus", "streets"):
        source = _step(application, "source")
        for stride in (4, 1):  # the profile's, the paper's
            at = f"affinity.stride={stride}"
            adaptsegnet, asa = (_step(application, name, at) for name in ("adaptsegnet", "asa"))
            profile = f"a step, {application}, cpu profile, stride {stride}"
            yield compare(f"{profile}: AdaptSegNet", adaptsegnet, "source only", source, pairs)
            yield compare(f"{profile}: ASA", asa, "source only", source, pairs)
            yield compare(f"{profile}: ASA", asa, "AdaptSegNet", adaptsegnet, pairs)
            in_bfloat16 = _step(application, "asa", at, low)
            yield compare(f"{profile}: ASA, D in bfloat16", in_bfloat16, "float32", asa, pairs)


def prediction(pairs: int = 5) -> Iterator[Row]:
    """Measure a whole photograph of 13 megapixels and a crop, with the CPU profile's network."""
    settings = read_fundus("cpu/asa", ["start=null"])
    torch.manual_seed(0)
    network = build_network(settings.network, "random").to(memory_format=LAST)
    model = Model(network, settings, CPU, 0, torch.ones(3))
    with TemporaryDirectory() as temporary:
        whole, crop = (Path(temporary) / f"{name}.jpg" for name in ("whole", "crop"))
        Image.fromarray(whole_field(2)[0]).resize((4288, 3063)).save(whole)
        Image.fromarray(render("a", 0, 512)[0]).save(crop)
        (file,) = list_photographs([whole])
        pixels, square = read(file).pixels, np.asarray(Image.open(crop))
        assert pixels is not None
        names = map(str, count())

        def predicted(path: Path) -> Work:
            return lambda: predict(model, [path], Path(temporary) / next(names))

        def outlined() -> None:
            outline(model, square)

        def reading() -> None:
            read(file)

        for what, work, of, other in (
            ("search for the disc", lambda: locate_disc(pixels), "reading it", reading),
            ("predict a whole photograph and report", predicted(whole), "reading it", reading),
            ("outline a crop", outlined, "reading a whole photograph", reading),
            ("predict a crop and report", predicted(crop), "outlining it", outlined),
        ):
            yield compare(what, work, of, other, pairs)


def loading(pairs: int = 5) -> Iterator[Row]:
    """Measure an image of a batch against reading it once, and a step's batches against it."""
    settings = read_fundus("cpu/asa", ["start=null"])
    statistics = input_statistics(settings.network.encoder)
    with TemporaryDirectory() as temporary:
        photograph = Path(temporary) / "eye.png"
        Image.fromarray(render("a", 0, 800)[0]).save(photograph)
        sample = Sample("eye", photograph)
        shown: dict[str, Work] = {}
        for name, transforms in (
            ("plain", plain_transforms(*statistics)),
            ("strong", strong_transforms(*statistics)),
            ("weak and strong", weak_strong_transforms(*statistics)),
        ):
            images = FundusImages([sample], settings.data.size, transforms)
            seeds = count()
            shown[name] = lambda images=images, seeds=seeds: images[SampleKey(0, next(seeds))]
            yield compare(
                f"an image, {name} augmentation",
                shown[name],
                "reading and resizing it",
                lambda then=transforms: FundusImages([sample], settings.data.size, then),
                pairs,
            )
        batch = range(settings.batch_size)
        yield compare(
            "the batches of an ASA step, fundus",
            lambda: [shown[name]() for name in ("strong", "plain") for _ in batch],
            "the step",
            _step("fundus", "asa"),
            pairs,
        )
