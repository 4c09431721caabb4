"""Files and words that are wrong in any way give a result, or an InputError that names the file.

A few examples, the same each time, run always. `FUNDUS_UDA_FUZZ=5000 pytest tests/test_fuzzing.py`
tries as many of each kind, and others each time.
"""

import copy
import io
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless
from torch import nn

from fundus_uda.clinic import decoding, reading
from fundus_uda.clinic.listing import PhotographFile
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.photograph_files import read_photograph
from fundus_uda.data.samples import Sample
from fundus_uda.engine.checkpoint import checksum, load_checkpoint, resume, save_checkpoint
from fundus_uda.errors import InputError
from fundus_uda.masks.labelme import labelme_text, read_mask_labelme
from fundus_uda.masks.nifti import read_mask_nifti
from fundus_uda.networks import load_encoder
from fundus_uda.segmentation.settings import read_settings
from roadscene.settings import read_settings as read_road_settings
from roadscene.weights import read_tensors
from tests.fixtures import tiny_engine
from tests.fixtures.dicom import eye, write_dicom

SECONDS, GIGABYTES, WAITED = 10, 2, 60
"""Time of the processor and memory for one input, and how long the child that decodes has."""
MANY = os.environ.get("FUNDUS_UDA_FUZZ")
fuzzed = settings(
    max_examples=int(MANY or 25),
    derandomize=MANY is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzzed")


@contextmanager
def refused(*names: str) -> Iterator[None]:
    """Let what runs inside end within limits, in a result or an InputError that has these names."""
    started, memory = time.process_time(), most_memory()
    try:
        yield
    except InputError as error:
        unnamed = [name for name in names if name not in str(error)]
        if unnamed:
            raise AssertionError(f"{unnamed} in: {error}") from error
    assert time.process_time() - started < SECONDS
    assert most_memory() - memory < GIGABYTES


def most_memory() -> float:
    """The most that this process has had of the memory, in gigabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


ODD = (
    "", "~", "null", "true", "0", "-1", "1" * 5000, "0x" + "f" * 5000, "1e999", ".inf", ".nan",
    "2020-13-01", "!!int ''", "!!binary x", "!!python/object:os.system x", "&a [*a]", "*a",
    "? [a]\n: 1", "{{a: 1}: 2}", "<<: 3", "[" * 500, "{" * 50, "- - -", "\n  ", "\t", "\0", ": ",
    "'", '"', "#", "%YAML 9", "---\n", "x" * 300, "~nobody", "..", "/dev/null", "${NOT_SET}", "é",
    "[" * 100_000, '{"a":' * 5000, "\ud800", "\udcff", "a:b:c#d", "=", ",", ";", "\r", '"a\nb"',
    "1e300", "1099511627776", "100000",
)  # fmt: skip


@st.composite
def mutated(draw, text: str) -> str:
    """A text with a few pieces removed, doubled, or replaced by odd ones."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 20)))
        piece = draw(st.sampled_from(ODD) | st.text(max_size=5))
        text = text[:start] + draw(st.sampled_from(("", piece, 2 * text[start:end]))) + text[end:]
    return text


@st.composite
def damaged(draw, files: list[bytes]) -> bytes:
    """A file with a few bytes changed, removed, doubled or filled with zeros."""
    contents = draw(st.sampled_from(files))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(contents)))
        end = min(len(contents), start + draw(st.integers(1, 64)))
        piece = contents[start:end]
        large, any_ = b"\xff\xff\xff\x7f", draw(st.binary(max_size=4))
        other = draw(st.sampled_from((b"", bytes(len(piece)), 2 * piece, any_, large)))
        contents = contents[:start] + other + contents[end:]
    return contents


def write(file: Path, text: str) -> Path:
    file.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    return file


PLAIN = """\
method: asa
steps: 3
batch_size: 2
snapshot_every: 1
segmenter: {lr: 1e-3}
adaptation: {teacher: {decay: 0.9}}
data: {source: "folder:a", target: b}
"""


@fuzzed
@given(mutated(PLAIN))
def test_settings_files(root, text):
    file = write(root / "run.yaml", text)
    for read in (read_settings, read_road_settings):
        with refused():
            read(str(file), [])


KEYS = ("steps", "seed", "data.size", "data", "adaptation.teacher.decay", "segmenter", "x", ".")


@fuzzed
@given(st.sampled_from(KEYS) | st.text(max_size=8), st.sampled_from(ODD) | st.text(max_size=20))
def test_overrides(root, key, value):
    file = write(root / "plain.yaml", PLAIN)
    for read in (read_settings, read_road_settings):
        with refused():
            read(str(file), [f"{key}={value}"])


CSV = "image,mask,split,id\na.png,m.png,train,one\na.png,,test,two\n"
JSON = '{"training": [{"image": "a.png", "label": "m.png"}], "test": [{"image": "a.png"}]}'


@fuzzed
@given(mutated(CSV))
def test_manifests_in_csv(root, text):
    (root / "a.png").touch()
    with refused("list.csv"):
        load_samples(f"manifest:{write(root / 'list.csv', text)}")


@fuzzed
@given(mutated(JSON))
def test_manifests_in_json(root, text):
    (root / "a.png").touch()
    with refused("list.json"):
        load_samples(f"manifest:{write(root / 'list.json', text)}")


@fuzzed
@given(
    st.sampled_from(("", "folder:", "manifest:", "refuge:", "drishti-gs:", "rim-one-r3:")),
    st.sampled_from(ODD) | st.text(max_size=20),
    st.sampled_from(("", "#train", "#", "#" + "x" * 300)),
)
def test_data_uris(kind, path, split):
    with refused():
        load_samples(kind + path + split)


def encoded(pixels: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 255, (24, 20, 3)).astype(np.uint8)
PHOTOGRAPHS = [
    encoded(COLOURS, kind) for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "PPM", "GIF")
]
PHOTOGRAPHS += [encoded(COLOURS, "TIFF", compression=name) for name in ("tiff_lzw", "jpeg")]
CLASSES = np.repeat(np.arange(3, dtype=np.uint8), 50).reshape(10, 15)
MASKS = [encoded(CLASSES, kind) for kind in ("PNG", "TIFF", "BMP", "GIF")]
MASKS += [encoded((CLASSES * 127 + CLASSES // 2)[:], "PNG")]


@fuzzed
@given(damaged(PHOTOGRAPHS))
def test_photographs(root, contents):
    (root / "photograph").write_bytes(contents)
    with refused("photograph"):
        read_photograph(root / "photograph")


@fuzzed
@given(damaged(MASKS), st.sampled_from(("labels", "refuge", "disc_cup", "soft_any")))
def test_masks(root, contents, encoding):
    (root / "mask.png").write_bytes(contents)
    files = (root / "mask.png",) * (1 if encoding in ("labels", "refuge") else 2)
    with refused("mask.png"):
        read_mask(Sample("a", root / "a.png", files, encoding))


@pytest.fixture(scope="module")
def dicom(root) -> list[bytes]:
    """Files of every way of decoding."""
    plain = write_dicom(root / "plain", eye(), PixelSpacing=[0.01, 0.01], ImageLaterality="R")
    deep = write_dicom(root / "deep", eye().astype("<u2") * 257, bits=16)
    two = write_dicom(root / "two", np.stack([eye(), eye(9)]), frames=2)
    deflated, rle, jpeg = (write_dicom(root / name, eye()) for name in ("deflated", "rle", "jpeg"))
    for file, syntax in (
        (deflated, DeflatedExplicitVRLittleEndian), (rle, RLELossless), (jpeg, JPEGBaseline8Bit),
    ):  # fmt: skip
        data = pydicom.dcmread(file)
        if syntax == RLELossless:
            data.compress(RLELossless, generate_instance_uid=False)
        data.file_meta.TransferSyntaxUID = syntax
        if syntax == JPEGBaseline8Bit:
            data.PixelData = pydicom.encaps.encapsulate([encoded(eye(), "JPEG")])
            data["PixelData"].is_undefined_length = True
        data.save_as(file, enforce_file_format=True)
    files = [plain, deep, two, deflated, rle, jpeg]
    for name, pixels in (("lossless", eye()), ("grey", eye()[..., 0].astype(np.uint16) * 257)):
        writer = sitk.ImageFileWriter()
        writer.SetFileName(str(root / f"{name}.dcm"))
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.Execute(sitk.GetImageFromArray(pixels, isVector=name == "lossless"))
        files.append(root / f"{name}.dcm")
    for file in files:
        assert reading.read(PhotographFile("a", file)).status == "ok", file
    return [file.read_bytes() for file in files]


@fuzzed
@given(st.data())
def test_dicom(root, dicom, data):
    """In a child with limits of its own, whose end is a reason, too."""
    (root / "photograph.dcm").write_bytes(data.draw(damaged(dicom)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "SECONDS", WAITED)
        found = reading.read(PhotographFile("a", root / "photograph.dcm"))
    assert found.status == "ok" or (found.status == "unreadable" and found.reason)
    assert str(root) not in found.reason


NIFTI = nibabel.Nifti1Image(CLASSES[..., None], np.eye(4)).to_bytes()


@fuzzed
@given(damaged([NIFTI]))
def test_nifti_masks(root, contents):
    (root / "mask.nii").write_bytes(contents)
    with refused("mask.nii"):
        read_mask_nifti(root / "mask.nii")


LABELME = labelme_text(CLASSES, "a.png")


@fuzzed
@given(mutated(LABELME))
def test_labelme_masks(root, text):
    with refused("mask.json"):
        read_mask_labelme(write(root / "mask.json", text))


@pytest.fixture(scope="module")
def checkpoint(root) -> Path:
    of = tiny_engine.settings(method="mean_teacher")
    save_checkpoint(root / "whole.pt", tiny_engine.state(of), of, {"source": "s"}, 3)
    return root / "whole.pt"


def resumed(file: Path) -> None:
    of = tiny_engine.settings(method="mean_teacher")
    load_checkpoint(file)
    resume(file, tiny_engine.state(of), of, {"source": "s"})


@fuzzed
@given(st.data())
def test_checkpoints_with_damaged_bytes(root, checkpoint, data):
    (root / "last.pt").write_bytes(data.draw(damaged([checkpoint.read_bytes()])))
    with refused("last.pt"):
        resumed(root / "last.pt")
    with refused("last.pt"):
        read_tensors(root / "last.pt")


VALUES = st.sampled_from(
    (None, True, -1, 3, 10**30, 0.5, float("nan"), "x", "", [], [1], {}, {1: 2}, {"a": {}}, b"x",
     torch.zeros(0), torch.ones(2), torch.tensor(3), torch.ones(1, dtype=torch.complex64),
     torch.ones(1).expand(2**22), torch.tensor([float("inf")] * 3))
)  # fmt: skip


def places(contents, above: tuple = ()) -> list[tuple]:
    """Every place in nested mappings and lists."""
    items = contents.items() if isinstance(contents, dict) else enumerate(contents)
    found = []
    for key, value in items:
        found.append((*above, key))
        if isinstance(value, dict | list):
            found += places(value, (*above, key))
    return found


@fuzzed
@given(st.data())
def test_checkpoints_with_wrong_parts(root, checkpoint, data):
    contents = torch.load(checkpoint, weights_only=True)
    contents.pop("checksum")
    for _ in range(data.draw(st.integers(1, 2))):
        *above, key = data.draw(st.sampled_from(places(contents)))
        part = contents
        for name in above:
            part = part[name]
        if isinstance(part, dict) and data.draw(st.booleans()):
            del part[key]
        else:
            part[key] = copy.deepcopy(data.draw(VALUES))  # a list could come to hold itself
    if "checksum" not in contents:
        try:
            contents["checksum"] = checksum(contents)
        except RuntimeError:  # of a tensor that would not fit into memory
            contents["checksum"] = ""
    torch.save(contents, root / "parts.pt")
    with refused("parts.pt"):
        resumed(root / "parts.pt")


@fuzzed
@given(
    st.dictionaries(
        st.sampled_from(("0.weight", "0.bias", "model", "state_dict", "encoder.0.weight", "a\0"))
        | st.integers(),
        VALUES | st.dictionaries(st.sampled_from(("0.weight", "0.bias")), VALUES),
        max_size=4,
    )
    | VALUES
)
def test_weights(root, contents):
    torch.save(contents, root / "weights.pth")
    with refused("weights.pth"):
        load_encoder(nn.Sequential(nn.Conv2d(3, 2, 1)), root / "weights.pth")
    with refused("weights.pth"):
        read_tensors(root / "weights.pth")
