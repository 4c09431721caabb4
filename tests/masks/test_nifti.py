import nibabel
import numpy as np
import pytest
import SimpleITK

from fundus_uda.errors import InputError
from fundus_uda.masks.nifti import read_mask_nifti, write_mask_nifti
from tests.fixtures.shapes import ellipses


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_orientation_and_spacing(tmp_path, suffix):
    mask = ellipses(disc=(30, 20), cup=(10, 10), cup_shift=(-5, 3), shape=(80, 120))
    write_mask_nifti(mask, tmp_path / f"a{suffix}", (0.012, 0.010))
    image = nibabel.load(tmp_path / f"a{suffix}")
    assert nibabel.aff2axcodes(image.affine) == ("L", "I", "P")
    assert image.header.get_zooms()[:2] == pytest.approx((0.010, 0.012))
    assert image.header.get_xyzt_units()[0] == "mm"
    assert np.array_equal(np.asarray(image.dataobj)[..., 0].T, mask)
    assert image.get_data_dtype() == np.uint8


def test_another_reader_agrees(tmp_path):
    mask = ellipses(disc=(30, 20), cup=(10, 10), shape=(80, 120))
    write_mask_nifti(mask, tmp_path / "a.nii.gz", (0.012, 0.010))
    image = SimpleITK.ReadImage(tmp_path / "a.nii.gz")
    assert np.array_equal(SimpleITK.GetArrayFromImage(image)[0], mask)
    assert image.GetSpacing()[:2] == pytest.approx((0.010, 0.012))
    # In ITK's LPS world: right in the photograph is the patient's left, down is inferior.
    origin, right, down = (
        np.array(image.TransformIndexToPhysicalPoint(index))
        for index in ((0, 0, 0), (100, 0, 0), (0, 50, 0))
    )
    assert right - origin == pytest.approx([1.0, 0, 0], abs=1e-6)
    assert down - origin == pytest.approx([0, 0, -0.6], abs=1e-6)


def axial_of_simpleitk(mask, path):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(mask[None]), path)


def sagittal_of_simpleitk(mask, path):
    image = SimpleITK.GetImageFromArray(mask[None])
    image.SetDirection((0, 0, 1, 1, 0, 0, 0, -1, 0))  # columns from front to back, rows down
    SimpleITK.WriteImage(image, path)


def axial_of_nibabel(mask, path):
    nibabel.save(nibabel.Nifti1Image(mask.T[..., None], np.eye(4)), path)


def flat_of_nibabel(mask, path):
    nibabel.save(nibabel.Nifti1Image(mask.T, np.eye(4)), path)


def with_a_time_of_nibabel(mask, path):
    nibabel.save(nibabel.Nifti1Image(mask.T[..., None, None], np.eye(4)), path)


def coronal_upside_down(mask, path):
    affine = np.array([[-1.0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(mask[::-1].T[..., None], affine), path)


@pytest.mark.parametrize(
    "write",
    [axial_of_simpleitk, sagittal_of_simpleitk, axial_of_nibabel, flat_of_nibabel,
     with_a_time_of_nibabel, coronal_upside_down, write_mask_nifti],
)  # fmt: skip
def test_one_slice_is_a_mask_in_whichever_plane(tmp_path, write):
    mask = ellipses(disc=(30, 20), cup=(10, 12), cup_shift=(-5, 3), shape=(80, 120))
    write(mask, tmp_path / "a.nii.gz")
    found, _ = read_mask_nifti(tmp_path / "a.nii.gz")
    assert np.array_equal(found, mask)


def test_what_is_no_slice_is_refused(tmp_path):
    turned = np.eye(4)
    turned[:2, :2] = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    mask = ellipses(disc=(30, 20), shape=(80, 120))
    for voxels, affine, message in (
        (mask.T[..., None], turned, "Got: an oblique one, whose rows and columns cannot be told"),
        (np.stack([mask, mask]), np.eye(4), r"one slice .* Got: shape \(2, 80, 120\)"),
        (np.zeros((0, 0, 1), np.uint8), np.eye(4), r"one slice .* Got: shape \(0, 0, 1\)"),
        (mask[:, :1, None], np.eye(4), r"one slice .* Got: shape \(80, 1, 1\)"),
        (mask[..., None] + 3, np.eye(4), "Expected values 0 .* Got: from 3 to 4"),
    ):
        nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "a.nii")
        with pytest.raises(InputError, match=message):
            read_mask_nifti(tmp_path / "a.nii")


def test_what_its_reader_says_of_odd_headers_is_not_for_users(tmp_path, capfd, caplog):
    file = tmp_path / "a.nii"
    write_mask_nifti(np.ones((4, 6), dtype=np.uint8), file)
    contents = bytearray(file.read_bytes())
    contents[344:348] = b"odd\0"  # the magic string
    file.write_bytes(contents)
    with pytest.raises(InputError, match="Expected a NIfTI mask at .*a.nii. Got: HeaderDataError"):
        read_mask_nifti(file)
    assert "".join(capfd.readouterr()) + caplog.text == ""


def test_without_spacing_the_units_are_unknown(tmp_path):
    write_mask_nifti(np.ones((4, 6), dtype=np.uint8), tmp_path / "a.nii")
    header = nibabel.load(tmp_path / "a.nii").header
    assert header.get_xyzt_units()[0] == "unknown"
    assert header.get_zooms() == (1, 1, 1)
