"""YAML text to plain values, in which a key may be given once."""

from typing import Any

import yaml

from fundus_uda.engine.errors import InputError


class _StrictLoader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """See `yaml.SafeLoader`."""
        given: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in given:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} twice; remove one", key_node.start_mark
                )
            given.add(key)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, where: str) -> Any:
    """The value that a text states.

    Raises:
        InputError: no YAML, or a key given twice; names `where` it stands.
    """
    try:
        return yaml.load(text, _StrictLoader)
    except yaml.YAMLError as error:
        raise InputError(f"Expected YAML in {where}. Got: {error}") from None
