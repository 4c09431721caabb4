import nibabel
import numpy as np
import pytest
import SimpleITK

from fundus_uda.masks.nifti import write_mask_nifti
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


def test_without_spacing_the_units_are_unknown(tmp_path):
    write_mask_nifti(np.ones((4, 6), dtype=np.uint8), tmp_path / "a.nii")
    header = nibabel.load(tmp_path / "a.nii").header
    assert header.get_xyzt_units()[0] == "unknown"
    assert header.get_zooms() == (1, 1, 1)
