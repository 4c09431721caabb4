"""Adapt optic disc and cup segmentation to another camera, without target labels."""

__version__ = "0.1.0"
