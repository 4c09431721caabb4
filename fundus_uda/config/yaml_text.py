"""YAML text to plain values; a key may be given only once."""

from typing import Any

import yaml

from fundus_uda.errors import InputError


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping as `yaml.SafeLoader` does, but refuse a key given twice."""
        given: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in given:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} twice; remove one", key_node.start_mark
                )
            given.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML text and return its value.

    Raises:
        InputError: not YAML, or a key given twice; the message names `where`.
    """
    try:
        return yaml.load(text, _StrictLoader)
    except yaml.YAMLError as error:
        raise InputError(f"Expected YAML in {where}. Got: {error}") from None


def as_yaml(value: Any) -> str:
    """Write plain values as YAML text, keys in their order."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
