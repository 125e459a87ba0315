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


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which also quotes the text ``None``."""


_Dumper.add_implicit_resolver(_TAG + "null", re.compile("None$"), ["N"])
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, _pattern in _NUMBERS.items():
    Loader.add_implicit_resolver(_TAG + _name, _pattern, list("-+.0123456789"))
Loader.add_constructor(_TAG + "int", _decimal)


def value_of(node: yaml.Node | None, annotation: Any) -> Any:
    """Return the value of a node.

    Args:
        node: A node that `yaml.compose` with `Loader` returned; None for an empty document.
        annotation: The type of the key's values. Where it takes text, ``no`` and ``007`` are text;
            where it takes null, ``None`` is null, as in Python.

    Raises:
        yaml.YAMLError, ValueError, OverflowError, RecursionError: If it is no value.
    """
    if node is None:
        return None
    kinds = _alternatives(annotation)
    if isinstance(node, yaml.ScalarNode) and node.tag in _READ_AS_TEXT and _takes_text(annotation):
        return node.value
    if isinstance(node, yaml.ScalarNode) and node.style is None and node.value == "None":
        return None if NoneType in kinds else node.value
    lists = [kind for kind in kinds if get_origin(kind) is list]
    if isinstance(node, yaml.SequenceNode) and lists:
        return [value_of(item, get_args(lists[0])[0]) for item in node.value]
    return Loader("").construct_object(node, deep=True)


def value_of_word(text: str, annotation: Any) -> Any:
    """Return the value of a word of the command line, which has no comments: ``out #2`` is text.

    A list needs no brackets, which zsh would take for a pattern: ``metrics=map,f1_micro``.

    Args:
        text: The word.
        annotation: The type of the key's values.

    Raises:
        yaml.YAMLError, ValueError, OverflowError, RecursionError: If it is no value.
    """
    node = yaml.compose(text, Loader=Loader)
    plain = node is None or (isinstance(node, yaml.ScalarNode) and node.style is None)
    if plain and _takes_text(annotation) and re.search(r"(^|\s)#", text):
        return text.strip()
    kinds = {get_origin(kind) or kind for kind in _alternatives(annotation)}
    names = plain and (node is None or node.tag == _TAG + "str")
    if names and (kinds == {list} or ("," in text and list in kinds and str not in kinds)):
        node = yaml.compose(f"[{text}]", Loader=Loader)
    return value_of(node, annotation)


def _takes_text(annotation: Any) -> bool:
    """Return whether the single values of a field are texts, paths or names."""
    single = [
        kind
        for kind in _alternatives(annotation)
        if kind is not NoneType and get_origin(kind) is not list
    ]
    return bool(single) and all(
        kind in (str, Path)
        or (get_origin(kind) is Literal and all(isinstance(name, str) for name in get_args(kind)))
        for kind in single
    )


def _alternatives(annotation: Any) -> list[Any]:
    """Return the types of a union, without their annotations."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for part in get_args(annotation) for kind in _alternatives(part)]
    return [annotation]


def text_of(value: Any) -> str:
    """Return a value as YAML in one line, which is read as the same value."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, width=10_000, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")
