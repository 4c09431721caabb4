"""The vertical cup-to-disc ratio of a DICOM photograph as a structured report (TID 1500)."""

import math

import pydicom
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from fundus_uda import __version__

SCHEME = "99FUNDUSUDA"
"""Designator of a coding scheme of this program, for what DICOM's own tables lack."""
UTF_8 = "ISO_IR 192"
"""Character set that is written: highdicom does not take every one that photographs have."""
DISC = codes.SCT.OpticNerveHead
"""Code of the disc in DICOM's own tables (CID 4209)."""
RATIO = Code("vertical-cdr", SCHEME, "Vertical cup-to-disc ratio")
METHOD = Code("extents", SCHEME, "Height of the cup over height of the disc, of their outlines")
REPORT_SERIES = 901
"""Number of the series of a report, above those that cameras use."""
SIDES = {"R": codes.SCT.Right, "L": codes.SCT.Left}


def coding_schemes() -> list[pydicom.Dataset]:
    """Say whose scheme `SCHEME` is, in the files that have a code of it."""
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    return [CodingSchemeIdentificationItem(SCHEME, name="fundus-uda", version=__version__)]


def report_of(header: pydicom.Dataset, ratio: float, laterality: str = "") -> pydicom.Dataset:
    """Make the structured report of one photograph, an Enhanced SR.

    Args:
        header: data set of the photograph, with the tags `dicom_seg.NEEDED` and, perhaps without a
            value, those that `dicom_seg.with_empty_tags` adds.
        ratio: vertical cup-to-disc ratio in [0, 1].
        laterality: "R" or "L"; "" if unknown.

    Raises:
        ValueError: the ratio is NaN.
    """
    from highdicom import sr

    if math.isnan(ratio):
        raise ValueError("a ratio that is not a number")
    program = sr.AlgorithmIdentification("fundus-uda", __version__, manufacturer="fundus-uda")
    site = sr.FindingSite(DISC, laterality=SIDES.get(laterality))
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=generate_uid(), identifier="optic disc"),
        finding_type=DISC,
        finding_sites=[site],
        algorithm_id=program,
        measurements=[
            sr.Measurement(
                RATIO, round(ratio, 4), codes.UCUM.NoUnits, method=METHOD, algorithm_id=program
            )
        ],
        source_images=[
            sr.SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)
        ],
    )
    observer = sr.ObserverContext(
        codes.DCM.Device,
        sr.DeviceObserverIdentifyingAttributes(generate_uid(), name="fundus-uda"),
    )
    content = sr.MeasurementReport(
        sr.ObservationContext(observer_device_context=observer),
        procedure_reported=Code("fundus-photography", SCHEME, "Photography of the fundus"),
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
    )
    made: pydicom.Dataset = sr.EnhancedSR(
        evidence=[header],
        content=content,
        series_instance_uid=generate_uid(),
        series_number=REPORT_SERIES,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="fundus-uda",
        is_complete=True,
        coding_schemes=coding_schemes(),
        specific_character_set=UTF_8,
    )
    return made
