"""What names a patient goes in by every way there is; nothing that is written holds it."""

import contextlib
import gzip
import re
import sys
import zlib

import pytest
from PIL import Image, ImageDraw

from cli.main import run
from fundus_uda.clinic.crops import write_crops, write_labelled_crops
from fundus_uda.clinic.listing import list_photographs
from fundus_uda.clinic.measure import measure_files
from fundus_uda.clinic.predict import predict
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.synthetic import render
from fundus_uda.errors import InputError
from tests.fixtures.dicom import write_dicom
from tests.fixtures.fields import retina, whole_field
from tests.fixtures.seeing import brightness_model, run_predict

NAMES = ("Mustermann", "Erika", "ERIKA", "PID-4711", "19640812", "Musterweg")
KEY = "a key that no one would guess"


@pytest.fixture
def clinic(tmp_path):
    """Photographs under a patient's name, with that name in their tags, EXIF and comments."""
    folder = tmp_path / "Mustermann Erika" / "19640812"
    folder.mkdir(parents=True)
    whole, crop = whole_field(2)[0], render("a", 1, 200)[0]
    tags = {"PatientAddress": "Musterweg 1", "ImageComments": "Erika", "PixelSpacing": [0.02, 0.02]}
    size = {"Rows": 400, "Columns": 560}
    write_dicom(folder / "Mustermann_R.dcm", whole, ImageLaterality="R", **size, **tags)
    write_dicom(folder / "PID-4711.dcm", crop, Rows=200, Columns=200,
                BurnedInAnnotation="YES", **tags)  # fmt: skip
    damaged = write_dicom(folder / "Erika_damaged.dcm", whole, **size, **tags)
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    exif = Image.Exif()
    exif[0x010E], exif[0x013B], exif[0x9286] = "Mustermann, Erika", "PID-4711", "Musterweg"
    photograph = Image.fromarray(crop)
    photograph.save(folder / "Mustermann_exif.jpg", exif=exif, comment=b"Mustermann", quality=95)
    about = Image.new("RGB", (1, 1)).getexif()
    about[0x010E] = "Erika"
    photograph.save(folder / "Erika.png", exif=about)
    Image.fromarray(retina(1)).save(folder / "Mustermann_no_disc.png")
    (folder / "Erika_broken.jpg").write_bytes(b"\xff\xd8 Mustermann")
    write_dicom(folder / "Erika_colours.dcm", whole, "ERIKA", **size)
    page = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(page).text((20, 100), "Erika Mustermann", "black", font_size=40)
    page.save(folder / "Erika_page.png")
    return folder


def everything_in(file) -> bytes:
    """The bytes of a file, and what they unpack to."""
    stored = file.read_bytes()
    if file.suffix == ".gz":
        return stored + gzip.decompress(stored)
    if file.suffix == ".png":
        with Image.open(file) as picture:
            said = repr(picture.info) + repr(dict(picture.getexif()))
        chunks = re.findall(rb"(?:zTXt|iTXt)[^\0]*\0+(.*?)IDAT", stored, flags=re.DOTALL)
        unpacked = b""
        for chunk in chunks:
            with contextlib.suppress(zlib.error):
                unpacked += zlib.decompressobj().decompress(chunk)
        return stored + said.encode() + unpacked
    return stored


def require_no_names(folder, said: str) -> None:
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert len(written) > 3
    for name in NAMES:
        assert name not in said
        for path in written:
            assert name not in str(path.relative_to(folder)), path
            content = everything_in(path)
            for encoded in (name.encode(), name.encode("utf-16-le"), name.lower().encode()):
                assert encoded not in content, f"{name} in {path}"


def test_the_search_finds_what_is_planted(clinic):
    with pytest.raises(AssertionError):
        require_no_names(clinic, "")
    assert b"Mustermann" in everything_in(clinic / "Mustermann_R.dcm")
    assert b"Erika" in everything_in(clinic / "Erika.png")


def test_predict_writes_and_says_nothing_of_the_patient(
    clinic, cameras, tmp_path, monkeypatch, capfd, caplog, recwarn
):
    (tmp_path / "key").write_text(KEY)
    out = tmp_path / "out"
    code = run_predict(monkeypatch, cameras, clinic, "--out", out, "--key-file", tmp_path / "key")
    assert code == 3
    printed = "".join(capfd.readouterr())
    assert "5 could not be measured" in printed
    said = printed + caplog.text + "".join(str(w.message) for w in recwarn)
    said = said.replace(str(tmp_path), "")  # where the user asked to write
    require_no_names(out, said)
    assert KEY not in said
    assert len(list((out / "masks").glob("*.png"))) == 4
    assert len(list((out / "crops").iterdir())) == 4  # no text, and no page


def test_a_dicom_with_text_in_its_pixels_raises_a_flag(clinic, cameras, tmp_path):
    table = predict(brightness_model(cameras), [clinic / "PID-4711.dcm"], tmp_path / "out")
    assert "text_in_pixels" in table["flags"][0].split()


def test_crops_for_adaptation_hold_nothing_of_the_patient(clinic, tmp_path):
    table = write_crops([clinic], tmp_path / "crops", key=KEY.encode())
    assert (table["status"] == "ok").sum() == 3
    table.to_csv(tmp_path / "crops" / "crops.csv")
    require_no_names(tmp_path / "crops", repr(table.to_dict()))


def test_adaptation_keeps_nothing_of_the_patient(
    clinic, cameras, tmp_path, monkeypatch, capfd, caplog
):
    (tmp_path / "key").write_text(KEY)
    out = tmp_path / "out"
    small = ["data.size=64", "batch_size=2", "steps=1", "snapshot_every=1", "affinity.stride=1"]
    command = ["fundus-uda", "adapt", *small, "--source", f"folder:{cameras / 'a'}"]
    command += ["--target", str(clinic), "--out", str(out), "--key-file", str(tmp_path / "key")]
    monkeypatch.setattr(sys, "argv", [*command, "--device", "cpu"])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 3
    assert (out / "stages" / "2_asa" / "last.pt").is_file()
    require_no_names(out, "".join(capfd.readouterr()).replace(str(tmp_path), "") + caplog.text)


def test_labelled_crops_hold_no_folder(clinic, tmp_path):
    for folder in ("images", "masks"):
        (clinic / folder).mkdir()
        for name in ("good_1.png", "good_2.png"):
            Image.new("L", (40, 40), 1).save(clinic / folder / name)
    Image.new("L", (40, 40)).save(clinic / "images" / "size.png")
    Image.new("L", (30, 40)).save(clinic / "masks" / "size.png")
    Image.new("L", (40, 40)).save(clinic / "images" / "mask.png")
    (clinic / "masks" / "mask.png").write_bytes(b"Mustermann")
    (clinic / "images" / "photograph.png").write_bytes(b"Mustermann")
    Image.new("L", (40, 40)).save(clinic / "masks" / "photograph.png")
    table = write_labelled_crops(load_samples(f"folder:{clinic}"), tmp_path / "crops")
    assert table["status"].tolist() == ["ok", "ok", *["unreadable"] * 3]
    table.to_csv(tmp_path / "crops" / "crops.csv")
    require_no_names(tmp_path / "crops", repr(table.to_dict()))


def test_measures_of_broken_masks_hold_no_folder(tmp_path):
    folder = tmp_path / "Erika's \\ Mustermann"  # as Python quotes it, another text
    folder.mkdir()
    (folder / "a.png").write_bytes(b"Mustermann")
    said = measure_files([folder])["reason"][0]
    assert (
        said == "Expected a mask image at a.png. Got: UnidentifiedImageError. Replace or remove it."
    )


def test_two_files_of_one_name_are_named_without_their_folders(tmp_path):
    for folder in ("Erika", "Mustermann"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(b"")
    with pytest.raises(InputError) as raised:
        list_photographs([tmp_path / "Erika", tmp_path / "Mustermann"])
    assert not [name for name in NAMES if name in str(raised.value)]
