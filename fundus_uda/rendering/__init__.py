"""Rendered photographs of the eye with exact masks: anatomy, light and camera."""
