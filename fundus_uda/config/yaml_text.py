"""YAML text to plain values; a key may be given only once."""

from typing import Any

import yaml

from fundus_uda.errors import InputError


class _StrictLoader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node as `yaml.SafeLoader` does, but refuse aliases: they can grow endlessly."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "an alias; write its value out", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping as `yaml.SafeLoader` does, but refuse a key given twice."""
        given: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key that is no word or number", key_node.start_mark
                )
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
    except Exception as error:
        # Odd values raise anything: thousands of digits, a month 13, a thousand brackets.
        got = f"{type(error).__name__}: {str(error)[:200]}"
        raise InputError(f"Expected YAML in {where} whose values can be read. Got: {got}") from None


def as_yaml(value: Any) -> str:
    """Write plain values as YAML text, keys in their order."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
