"""Settings from YAML files and overrides, and data URIs."""
