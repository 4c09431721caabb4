"""Files that are made to fill the memory, to be read without end, or to be run."""

import json
import os
import struct
import zlib

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from fundus_uda.clinic import dicom_pixels
from fundus_uda.clinic.dicom_pixels import frame_pixels, read_dicom
from fundus_uda.clinic.listing import list_photographs
from fundus_uda.clinic.measure import measure_files
from fundus_uda.clinic.predict import predict
from fundus_uda.clinic.reading import read
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.photograph_files import read_photograph
from fundus_uda.data.samples import Sample
from fundus_uda.data.synthetic import render
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.errors import InputError
from fundus_uda.masks.labelme import read_mask_labelme
from fundus_uda.masks.nifti import read_mask_nifti
from fundus_uda.segmentation.settings import read_settings
from roadscene.data import read_image
from roadscene.weights import read_tensors
from tests.fixtures.dicom import HEIGHT, WIDTH, eye, write_dicom, write_stream
from tests.fixtures.seeing import brightness_model


def header(marker, rows, columns):
    """The start of a JPEG or JPEG-LS stream, behind a segment of another kind."""
    frame = struct.pack(">HBHHB", 17, 8, rows, columns, 3) + bytes(9)
    return b"\xff\xd8\xff\xe1\x00\x04ab\xff" + bytes([marker]) + frame + b"\xff\xd9"


FRAME_2000 = b"\xff\x4f\xff\x51" + struct.pack(">HH4I", 47, 0, WIDTH + 7, HEIGHT + 3, 7, 3)


@pytest.mark.parametrize(("syntax", "right", "wrong"), [
    (JPEGBaseline8Bit, header(0xC0, HEIGHT, WIDTH), header(0xC0, 60_000, 60_000)),
    (JPEGLosslessSV1, header(0xC3, HEIGHT, WIDTH), header(0xC3, HEIGHT, WIDTH + 1)),
    (JPEGLSLossless, header(0xF7, HEIGHT, WIDTH), header(0xF7, 0, 0)),
    (JPEG2000Lossless, FRAME_2000, FRAME_2000[:8] + struct.pack(">I", 60_000) + FRAME_2000[12:]),
    (JPEGBaseline8Bit, header(0xC0, HEIGHT, WIDTH), b"\xff\xd8\xff\xd9"),
])  # fmt: skip
def test_no_decoder_sees_a_stream_of_another_size_than_its_tags_say(
    syntax, right, wrong, tmp_path, monkeypatch
):
    class ReachedADecoder(Exception):
        pass

    def decode(*_, **__):
        raise ReachedADecoder

    for decoder in ("_jpeg_pixels", "pixel_array", "sitk.ReadImage"):
        monkeypatch.setattr(f"fundus_uda.clinic.dicom_pixels.{decoder}", decode)
    for stream, error in ((right, ReachedADecoder), (wrong, ValueError)):
        path = write_stream(tmp_path / "a.dcm", stream, syntax)
        with pytest.raises(error):
            frame_pixels(path, 0, pydicom.dcmread(path))


def test_pixels_are_counted_before_they_are_decoded(tmp_path):
    """A few kilobytes that announce gigabytes."""
    run = struct.pack("<16I", 3, 64, 66, 68, *[0] * 12) + b"\x81\x07" * 3
    for name, syntax, stream in (
        ("rle", RLELossless, run), ("jpeg", JPEGBaseline8Bit, header(0xC0, 65_000, 65_000)),
    ):  # fmt: skip
        tags = {"Rows": 65_000, "Columns": 65_000}
        (found,) = map(
            read, list_photographs([write_stream(tmp_path / name, stream, syntax, **tags)])
        )
        assert found.reason.startswith("Expected at most 178 megapixels. Got: 65000x65000.")


def test_a_deflated_file_is_inflated_in_pieces_up_to_a_limit(tmp_path, monkeypatch):
    data = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", eye()))
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.ImageComments = "x" * 8000
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert np.array_equal(read_dicom(tmp_path / "a.dcm", 0).pixels, eye())
    monkeypatch.setattr(dicom_pixels, "MAX_INFLATED", 5000)
    with pytest.raises(InputError, match="that inflates to at most"):
        read_dicom(tmp_path / "a.dcm", 0)


def test_deep_pixels_are_scaled_row_by_row(tmp_path):
    """As all at once, which took eight bytes for each value."""
    stored = np.random.default_rng(0).integers(0, 65_536, (30, 40, 3)).astype("<u2")
    path = write_dicom(tmp_path / "a.dcm", stored, bits=16, Rows=30, Columns=40)
    expected = (stored.astype(np.float64) * (255 / 65_535)).round()
    assert np.array_equal(read_dicom(path, 0).pixels, expected)


def png(width, height, rows=b""):
    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(width, height):
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1),
            (278, height), (279, 2**31 - 1)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


BOMBS = {
    "bomb.png": png(20_000, 20_000), "bomb.tif": tiff(50_000, 50_000),
    "absurd.png": png(2**31 - 1, 2**31 - 1), "absurd.tif": tiff(2**32 - 1, 2**32 - 1),
    "strip.png": png(100_000, 1, bytes(300_001)), "nothing.png": png(0, 0),
    "cut.png": png(13_000, 13_000),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_images_that_announce_more_than_a_photograph_has_are_refused(name, tmp_path):
    file = tmp_path / name
    file.write_bytes(BOMBS[name])
    (found,) = map(read, list_photographs([file]))
    assert found.status == "unreadable"
    assert str(tmp_path) not in found.reason
    with pytest.raises(InputError, match=name):
        read_photograph(file)
    if name != "strip.png":  # which has few pixels
        with pytest.raises(InputError, match=name):
            read_mask(Sample("a", file, (file,), "labels"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_pipes_and_devices_are_not_waited_for(kind, tmp_path, cameras):
    def stands(name):
        path = tmp_path / name
        if kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero")
        return path

    png, nifti, pt = (stands(name) for name in ("a.png", "a.nii", "last.pt"))
    (tmp_path / "list.csv").write_text("id,path\none,a.png\n")
    (found,) = map(read, list_photographs([tmp_path / "list.csv"]))
    assert found.reason == "Expected a file. Got: nothing at its path."
    sample = Sample("a", png, (png,), "labels")
    for reads in (
        lambda: read_photograph(png), lambda: read_image(png), lambda: read_mask(sample),
        lambda: read_mask_nifti(nifti), lambda: load_checkpoint(pt), lambda: read_tensors(pt),
        lambda: read_mask(Sample("a", png, (png,), "matlab")), lambda: read_mask_labelme(png),
        lambda: read_mask(Sample("a", min((cameras / "a" / "images").iterdir()), (png,) * 2,
                                 "contours")),
    ):  # fmt: skip
        with pytest.raises(InputError, match="Got: "):
            reads()
    assert (measure_files([nifti])["status"] == "unreadable").all()
    (tmp_path / "run.yaml").write_text(f"extends: {stands('base.yaml').name}\n")
    with pytest.raises(InputError, match="YAML settings file at .*base.yaml. Got: a pipe or a dev"):
        read_settings(str(tmp_path / "run.yaml"), [])
    (tmp_path / "list.json").write_text('{"training": [{"image": "a.png"}]}')
    with pytest.raises(InputError, match="Expected the image .*a.png.*Got: no such file"):
        load_samples(f"manifest:{tmp_path / 'list.json'}")


def test_no_name_of_a_file_is_a_formula_or_a_tag_of_the_report(cameras, tmp_path):
    names = ["=1+1", "+2", "-3", "@A1", "<script>alert(1)<", '"><img src=x onerror=alert(1)>']
    photographs = tmp_path / "in"
    photographs.mkdir()
    for seed, name in enumerate(names):
        picture = Image.fromarray(render("a", seed, 96)[0])
        picture.save(photographs / f"{name.replace('/', '')}.png")
    out = tmp_path / "out"
    table = predict(brightness_model(cameras), [photographs], out)
    assert set(table["image"]) == {"%3D1+1", "%2B2", "%2D3", "%40A1", *names[4:]}
    cells = (out / "measurements.csv").read_text(encoding="utf-8").splitlines()
    assert not [line for line in cells if line.lstrip('"').startswith(("=", "+", "-", "@"))]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert json.loads((out / "measurements.json").read_text())


def test_nothing_is_written_outside_by_the_ids_of_a_list(cameras, tmp_path):
    image = min((cameras / "a" / "images").iterdir())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.png").symlink_to(image)  # to a photograph elsewhere, which may be
    for id_ in ("../out", "/tmp/out", "..", "a/b", "a\\b", "C:x"):
        (tmp_path / "in" / "list.csv").write_text(f"id,path\n{id_},link.png\n")
        with pytest.raises(InputError, match="ids in .* that can be file names"):
            list_photographs([tmp_path / "in" / "list.csv"])
        listed = {"training": [{"image": "link.png", "id": id_}]}
        (tmp_path / "in" / "list.json").write_text(json.dumps(listed))
        with pytest.raises(InputError, match="an id that can be a file name"):
            load_samples(f"manifest:{tmp_path / 'in' / 'list.json'}")
    (tmp_path / "in" / "list.csv").write_text("id,path\nfine,link.png\n")
    assert read(list_photographs([tmp_path / "in" / "list.csv"])[0]).status == "ok"
