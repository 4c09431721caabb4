"""Photographs and masks: known dataset layouts, MONAI pipelines, an embedded renderer."""
