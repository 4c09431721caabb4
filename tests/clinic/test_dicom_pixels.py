"""What becomes of the pixels and tags of a DICOM file, whatever it stores them as."""

import io
import tracemalloc

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.pixels import convert_color_space
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
)

from fundus_uda.clinic.dicom_pixels import read_dicom
from fundus_uda.clinic.listing import list_photographs
from fundus_uda.clinic.reading import read
from tests.fixtures.dicom import HEIGHT, WIDTH, eye, read_one, smooth_eye, write_dicom, write_stream


def test_rgb_with_spacing_and_laterality(tmp_path):
    path = write_dicom(
        tmp_path / "a.dcm", eye(), PixelSpacing=[0.011, 0.009], ImageLaterality="R", Laterality="L"
    )
    found = read_one(path)
    assert (found.id, found.status, found.reason) == ("a", "ok", "")
    assert np.array_equal(found.pixels, eye())
    assert found.spacing_mm == (0.011, 0.009)
    assert found.laterality == "R"
    assert found.burned_in_text is False


@pytest.mark.parametrize(
    ("tags", "laterality"),
    [
        ({"Laterality": "L"}, "L"),
        ({"ImageLaterality": "", "Laterality": "R"}, "R"),
        ({"ImageLaterality": "B"}, None),
        ({}, None),
    ],
)
def test_laterality_falls_back_on_the_series_and_is_never_guessed(tmp_path, tags, laterality):
    assert read_one(write_dicom(tmp_path / "a.dcm", eye(), **tags)).laterality == laterality


@pytest.mark.parametrize("spacing", [None, [0.0, 0.01], [-0.01, 0.01]])
def test_a_spacing_that_says_nothing_is_none(tmp_path, spacing):
    tags = {} if spacing is None else {"PixelSpacing": spacing}
    assert read_one(write_dicom(tmp_path / "a.dcm", eye(), **tags)).spacing_mm is None


def test_ybr_full_becomes_rgb(tmp_path):
    stored = convert_color_space(eye(), "RGB", "YBR_FULL")
    found = read_one(write_dicom(tmp_path / "a.dcm", stored, "YBR_FULL"))
    assert np.abs(found.pixels.astype(int) - eye()).max() <= 2


def test_ybr_full_422_becomes_rgb(tmp_path):
    ybr = convert_color_space(eye(), "RGB", "YBR_FULL")
    y, cb, cr = ybr[..., 0], ybr[:, ::2, 1], ybr[:, ::2, 2]  # every second column has colour
    stored = np.stack([y[:, ::2], y[:, 1::2], cb, cr], axis=-1)
    found = read_one(write_dicom(tmp_path / "a.dcm", stored, "YBR_FULL_422"))
    assert found.pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(found.pixels.astype(int) - eye()).max() <= 8


@pytest.mark.parametrize("bits", [12, 16])
def test_ybr_full_of_more_than_eight_bits_becomes_rgb(tmp_path, bits):
    ybr = convert_color_space(eye(), "RGB", "YBR_FULL")
    stored = (ybr * ((2**bits - 1) / 255)).round().astype(np.uint16)
    found = read_one(write_dicom(tmp_path / "a.dcm", stored, "YBR_FULL", bits=bits))
    assert found.status == "ok"
    assert np.abs(found.pixels.astype(int) - eye()).max() <= 2


def test_monochrome_becomes_grey_and_its_first_kind_is_inverted(tmp_path):
    grey = eye()[..., 0]
    second = read_one(write_dicom(tmp_path / "b.dcm", grey, "MONOCHROME2"))
    first = read_one(write_dicom(tmp_path / "a.dcm", grey, "MONOCHROME1"))
    assert np.array_equal(second.pixels, np.repeat(grey[..., None], 3, axis=2))
    assert np.array_equal(first.pixels, 255 - second.pixels)


@pytest.mark.parametrize("bits", [10, 16])
def test_more_than_eight_bits_are_scaled_by_what_is_stored(tmp_path, bits):
    stored = (eye() * ((2**bits - 1) / 255)).round().astype(np.uint16)
    found = read_one(write_dicom(tmp_path / "a.dcm", stored, bits=bits))
    assert np.abs(found.pixels.astype(int) - eye()).max() <= 1


@pytest.mark.parametrize("colours", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize(("bits", "signed"), [(16, 0), (12, 0), (16, 1)])
def test_eight_bits_that_are_stored_as_more_are_not_black(tmp_path, colours, bits, signed):
    """As a common converter of OCT files writes them."""
    stored = convert_color_space(eye(), "RGB", colours) if colours != "RGB" else eye()
    tags = {"PixelRepresentation": signed}
    path = write_dicom(tmp_path / "a.dcm", stored.astype("<u2"), colours, bits, **tags)
    found = read_one(path)
    assert found.status == "ok"
    assert np.abs(found.pixels.astype(int) - eye()).max() <= 2


def test_values_that_would_be_nearly_black_are_named(tmp_path):
    stored = eye().astype("<u2") * 16  # 12 bits
    found = read_one(write_dicom(tmp_path / "a.dcm", stored, bits=16))
    low, high = stored.min(), stored.max()
    expected = f"Expected pixels that use their 16 bits. Got: values from {low} to {high}, which"
    assert (found.status, found.reason[: len(expected)]) == ("unreadable", expected)


def write_lossless(path, pixels) -> pydicom.Dataset:
    """JPEG of process 14, selection value 1, which many cameras export."""
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(path))
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    writer.Execute(sitk.GetImageFromArray(pixels, isVector=pixels.ndim == 3))
    data = pydicom.dcmread(path)
    assert data.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    return data


@pytest.mark.parametrize("deep", [False, True])
def test_jpeg_lossless_is_read(tmp_path, deep):
    write_lossless(tmp_path / "a.dcm", eye()[..., 0].astype(np.uint16) * 257 if deep else eye())
    found = read_one(tmp_path / "a.dcm")
    assert found.status == "ok"
    expected = np.repeat(eye()[..., :1], 3, axis=2) if deep else eye()
    assert np.array_equal(found.pixels, expected)


def test_a_transfer_syntax_that_nothing_reads_is_named(tmp_path):
    data = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", eye()))
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"
    data.PixelData = pydicom.encaps.encapsulate([bytes(data.PixelData)])
    data["PixelData"].VR = "OB"
    data.save_as(tmp_path / "a.dcm")
    reason = read_one(tmp_path / "a.dcm").reason
    assert reason.startswith("Expected pixels in a transfer syntax that can be read. Got: MPEG2")


def test_a_deflated_file_is_read_as_the_plain_one(tmp_path):
    data = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", np.stack([eye(), eye(9)]), frames=2))
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    first, second = map(read, list_photographs([tmp_path]))
    assert np.array_equal(first.pixels, eye())
    assert np.array_equal(second.pixels, eye(9))


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("name", ["a.dcm", "IM0001"])
def test_a_data_set_without_preamble_is_read(tmp_path, implicit, name):
    data = pydicom.dcmread(write_dicom(tmp_path / name, eye(), PixelSpacing=[0.011, 0.009]))
    bare = pydicom.Dataset(data)
    bare.save_as(tmp_path / name, implicit_vr=implicit, little_endian=True)
    assert (tmp_path / name).read_bytes()[:2] == b"\x08\0"
    (source,) = list_photographs([tmp_path])
    found = read(source)
    assert (found.status, found.spacing_mm) == ("ok", (0.011, 0.009)), found.reason
    assert np.array_equal(found.pixels, eye())


def write_jpeg(path, stream, colours):
    """A DICOM file around a stream that another program made."""
    size = {"Rows": 160, "Columns": 240}
    return write_stream(path, stream, JPEGBaseline8Bit, colours=colours, **size)


def jpeg(pixels, **options) -> bytes:
    """A stream without the marker of JFIF, which would say YCbCr."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95, **options)
    whole = stream.getvalue()
    if whole[2:4] != b"\xff\xe0":
        return whole
    return whole[:2] + whole[4 + int.from_bytes(whole[4:6], "big") :]


@pytest.mark.parametrize("colours", ["RGB", "YBR_FULL_422"])
@pytest.mark.parametrize(
    "options", [{"subsampling": 1}, {"subsampling": 0}, {"keep_rgb": True}], ids=str
)
def test_a_jpeg_stream_is_believed_before_a_tag_about_its_colours(tmp_path, colours, options):
    """Components 1, 2 and 3 or subsampled ones are YCbCr; R, G and B are not."""
    path = write_jpeg(tmp_path / "a.dcm", jpeg(smooth_eye(), **options), colours)
    found = read_one(path)
    assert found.status == "ok", found.reason
    assert np.abs(found.pixels.astype(int) - smooth_eye()).mean() < 3


def test_the_tag_is_believed_where_a_jpeg_stream_says_nothing(tmp_path):
    stream = bytearray(jpeg(smooth_eye(), keep_rgb=True))
    for marker in (b"\xff\xc0", b"\xff\xda"):  # the frame's and the scan's component ids
        for old, new in ((82, 0), (71, 1), (66, 2)):
            at = stream.index(marker)
            at = stream.index(bytes([old]), at + 4)
            stream[at] = new
    found = read_one(write_jpeg(tmp_path / "a.dcm", bytes(stream), "RGB"))
    assert np.abs(found.pixels.astype(int) - smooth_eye()).mean() < 3


def test_what_one_decoder_does_not_read_the_other_is_asked(tmp_path):
    """JPEG of 12 bits, which Pillow lacks, and a lossless stream under the name of baseline."""
    data = write_lossless(tmp_path / "a.dcm", eye())
    data.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    data.save_as(tmp_path / "a.dcm")
    found = read_one(tmp_path / "a.dcm")
    assert found.status == "ok", found.reason
    assert np.array_equal(found.pixels, eye())


def test_a_stream_that_was_cut_off_is_not_filled_up(tmp_path):
    stream = jpeg(smooth_eye())
    found = read_one(write_jpeg(tmp_path / "a.dcm", stream[: len(stream) // 2], "YBR_FULL_422"))
    assert found.status == "unreadable"


def test_a_frame_is_read_without_the_others(tmp_path):
    frames = np.zeros((100, 200, 200, 3), dtype=np.uint8)
    path = write_dicom(tmp_path / "a.dcm", frames, frames=100, Rows=200, Columns=200)
    tracemalloc.start()
    found = read_dicom(path, frame=99)  # what the child process does
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.pixels.shape == (200, 200, 3)
    assert most < frames.nbytes / 2


def test_a_header_that_announces_countless_frames_is_one_unreadable_photograph(tmp_path):
    data = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", eye()))
    data.NumberOfFrames = 2_000_000_000
    data.save_as(tmp_path / "a.dcm")
    reason = read_one(tmp_path / "a.dcm").reason
    assert reason == "Expected at most 1000 frames. Got: 2000000000."


def test_burned_in_text_is_flagged(tmp_path):
    assert read_one(write_dicom(tmp_path / "a.dcm", eye(), BurnedInAnnotation="YES")).burned_in_text
    no = write_dicom(tmp_path / "b.dcm", eye(), BurnedInAnnotation="NO")
    assert not read_one(no).burned_in_text


@pytest.mark.parametrize(("stated", "shows_text"), [
    (" YES", True), ("yes", True), (["NO", "YES"], True), ("Y", True), ("", False), (" no ", False),
])  # fmt: skip
def test_text_is_there_unless_the_tag_says_no(stated, shows_text, tmp_path):
    file = write_dicom(tmp_path / "a.dcm", eye(), BurnedInAnnotation=stated)
    assert read_dicom(file, 0).burned_in_text == shows_text
