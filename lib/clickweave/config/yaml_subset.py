"""YAML without its dangers: plain values only, no anchors, no tags, no duplicate keys, bounded size and depth."""

from typing import Any

import yaml

MAX_BYTES = 1_000_000
MAX_DEPTH = 32


class _Loader(yaml.SafeLoader):
    """SafeLoader that also refuses aliases, which can blow up when walked, and duplicate keys."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ValueError(f"line {event.start_mark.line + 1}: anchors and aliases are not allowed")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError(f"line {event.start_mark.line + 1}: nested deeper than {MAX_DEPTH} levels")
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise ValueError(f"line {key_node.start_mark.line + 1}: key {key!r} must be text; put it in quotes")
            if key in seen:
                raise ValueError(f"line {key_node.start_mark.line + 1}: key {key!r} stands twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> dict[str, Any]:
    """A mapping from YAML text; an empty text is an empty mapping.

    Raises:
        ValueError, yaml.YAMLError: the text is too large, not YAML, or uses what the subset leaves out.
    """
    if len(text.encode()) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES} bytes")
    loaded = yaml.load(text, Loader=_Loader)  # noqa: S506  (a SafeLoader with less in it)
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ValueError(f"must be a mapping of sections, got {type(loaded).__name__}")
    return loaded
