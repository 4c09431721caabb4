"""Silence of the libraries that read and write DICOM, whose words may name a patient."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pydicom
import SimpleITK as sitk


@contextmanager
def silently() -> Iterator[None]:
    """Let pydicom, highdicom and SimpleITK say nothing inside, neither by warnings nor by logs.

    They quote odd values of tags, and paths, which may identify a patient.
    """
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels = [logger.level for logger in loggers]
    validation = pydicom.config.settings.reading_validation_mode
    displayed = sitk.ProcessObject.GetGlobalWarningDisplay()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(displayed)
        pydicom.config.settings.reading_validation_mode = validation
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
