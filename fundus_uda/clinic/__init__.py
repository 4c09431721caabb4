"""The clinical reading of masks."""
