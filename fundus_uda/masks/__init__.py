"""Masks of optic disc and cup: classes, Dice, measurements, post-processing and files."""
