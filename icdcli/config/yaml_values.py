"""Values of YAML as people write them: text stays text, and a leading zero means nothing.

PyYAML follows YAML 1.1, in which ``0500`` is 320 (octal), ``1:30`` is 90 (in sixties), ``no`` is
False and ``2024-05-01`` is a date. Here numbers are decimal unless they begin with ``0x`` or
``0b``, dates and times are text, and a key that takes text gets what is written.
"""

import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml

_TAG = "tag:yaml.org,2002:"
_NUMBERS = {
    "int": re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)$"),
    "float": re.compile(
        r"([-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    ),
}
_REPLACED = {_TAG + name for name in ("int", "float", "timestamp")}
_READ_AS_TEXT = {_TAG + name for name in ("bool", "int", "float")}


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader without octal numbers, numbers in sixties, and dates."""


def _decimal(_loader: Loader, node: yaml.ScalarNode) -> int:
    digits = node.value.replace("_", "")
    return int(digits, 0 if digits.lstrip("-+")[:2] in ("0x", "0b") else 10)


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, _pattern in _NUMBERS.items():
    Loader.add_implicit_resolver(_TAG + _name, _pattern, list("-+.0123456789"))
Loader.add_constructor(_TAG + "int", _decimal)


def value_of(node: yaml.Node | None, is_text: bool) -> Any:
    """Return the value of a node.

    Args:
        node: A node that `yaml.compose` with `Loader` returned; None for an empty document.
        is_text: Whether the key takes text, so that ``no`` and ``007`` are what they look like.

    Raises:
        yaml.YAMLError, ValueError, OverflowError, RecursionError: If it is no value.
    """
    if node is None:
        return None
    if is_text and isinstance(node, yaml.ScalarNode) and node.tag in _READ_AS_TEXT:
        return node.value
    return Loader("").construct_object(node, deep=True)


def takes_text(annotation: Any) -> bool:
    """Return whether a field of this type has only texts, paths, names or null as values."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return takes_text(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return all(takes_text(part) or part is NoneType for part in get_args(annotation))
    if origin is Literal:
        return all(isinstance(name, str) for name in get_args(annotation))
    return annotation in (str, Path)
