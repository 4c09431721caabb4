"""Optic disc and cup segmentation: settings, model, training, prediction and evaluation."""
