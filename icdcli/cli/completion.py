"""Shell completion: configuration keys and their values, runs, configurations, protocols.

It imports no more than the configuration does, so that it answers at once.
"""

from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from icdcli.config.fields import OneOf
from icdcli.data.section import ProtocolName

# Those of other data sets are drawn, or come with the data set itself.
_PUBLISHED = "mimic"


def complete_override(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Complete keys (``batch_size=``), with their meaning; after ``=``, the values of the key."""
    from icdcli.config.loading import FIELDS

    key, equals, begun = incomplete.partition("=")
    if equals:
        return [(f"{key}={value}", "") for value in _values_of(key) if value.startswith(begun)]
    # Bash makes the equals sign a word of its own. If the word before is a key, complete its value.
    before = [str(word) for word in ctx.params.get("overrides") or [] if word != "="]
    if before and before[-1] in FIELDS:
        return [(value, "") for value in _values_of(before[-1]) if value.startswith(incomplete)]
    return [
        (f"{name}=", field.description or "")
        for name, (_, field) in FIELDS.items()
        if name.startswith(incomplete)
    ]


def _values_of(key: str) -> list[str]:
    from icdcli.config.loading import FIELDS

    return _choices(FIELDS[key][1].rebuild_annotation()) if key in FIELDS else []


def _choices(annotation: Any) -> list[str]:
    if annotation is bool:
        return ["True", "False"]
    if get_origin(annotation) is Annotated:
        plain, *details = get_args(annotation)
        named = [name for detail in details if isinstance(detail, OneOf) for name in detail.names]
        return named or _choices(plain)
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    if get_origin(annotation) in (Union, UnionType):
        return [value for part in get_args(annotation) for value in _choices(part)]
    return ["null"] if annotation is type(None) else []


def complete_config(incomplete: str) -> list[str]:
    """Complete folders, YAML files, and the names of the configurations in the package."""
    from icdcli.config.loading import shipped_configs

    here = _paths(incomplete, lambda path: path.is_dir() or path.suffix in (".yaml", ".yml"))
    return list(
        dict.fromkeys([*here, *(name for name in shipped_configs() if name.startswith(incomplete))])
    )


def complete_run(incomplete: str) -> list[str]:
    """Complete folders: run folders as they are, others with a slash to continue below."""
    return _paths(incomplete, Path.is_dir)


def complete_protocol(incomplete: str) -> list[str]:
    """Complete protocols whose split lists are published."""
    return [
        name
        for name in get_args(ProtocolName)
        if name.startswith(_PUBLISHED) and name.startswith(incomplete)
    ]


def _paths(incomplete: str, wanted: Callable[[Path], bool]) -> list[str]:
    folder, _, begun = incomplete.rpartition("/")
    start = f"{folder}/" if "/" in incomplete else ""
    try:
        found = sorted(
            path
            for path in Path(start or ".").iterdir()
            if path.name.startswith(begun) and wanted(path)
        )
    except OSError:  # no such folder, or no permission: no completions
        return []
    shown = [path for path in found if begun or not path.name.startswith(".")]
    return [
        start + path.name + ("" if not path.is_dir() or (path / "args.yaml").is_file() else "/")
        for path in shown
    ]
