"""Writes configuration.md from the configuration's own types, so that page and program agree.

    .venv/bin/python docs/make_configuration.py

`tests/docs/test_docs.py` compares the committed page with this.
"""

import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from icdcli.config.fields import Metric, OneOf
from icdcli.config.schema import Config

PAGE = Path(__file__).parent / "configuration.md"
SINCE: dict[str, str] = {}  # key: the version that added it, if not the first
FIRST = "0.1"
HEAD = """\
<!-- Written by docs/make_configuration.py from the fields of icdcli/*/section.py. -->
# Configuration

One flat YAML file. Every key has a default, so a file contains only what differs. Any key can also
follow a command, as `key=value`, and then takes precedence over the file. All problems of both are
reported in one message, with the line and the nearest valid key. `icdcode config show CONFIG`
shows all keys with their effective values; `icdcode config schema` prints a JSON Schema, with which
editors check the YAML while you type.

Numbers are decimal, with or without leading zeros (`0500` is 500). A key that takes text takes what
is written, so that `name: 007` and `name: no` need no quotes; `None` means null, as in Python.
Paths are files and folders of this machine; URLs such as `s3://bucket/notes` are refused. `icdcode
copy-data` copies [data to train on](formats.md#copies-to-train-on).

```bash
icdcode config show configs/config.yaml max_len=2048
icdcode config schema > config.schema.json
```

Configurations to start from (`icdcode config list`). Each begins with the commands that use it, and
its name (`laptop` or `laptop.yaml`) can be given instead of a path:

| file | description |
|---|---|
"""


def words(kind: Any) -> str:
    """Return a type in the reader's words."""
    if kind is Metric:
        return "[metric](evaluation.md)"
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        names = [name for part in arguments if isinstance(part, OneOf) for name in part.names]
        return ", ".join(f"`{name}`" for name in names) or words(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (types.UnionType, Union):
        return " or ".join(
            dict.fromkeys("null" if part is type(None) else words(part) for part in arguments)
        )
    if origin is list:
        return f"list of {words(arguments[0])}"
    return {int: "whole number", float: "number", bool: "True or False", str: "text", Path: "path"}[
        kind
    ]


def bounds(field: FieldInfo) -> str:
    """Return the limits of a number, such as ``, ≥ 0``."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [
        f"{signs[name]} {value}"
        for limit in field.metadata
        for name in signs
        if (value := getattr(limit, name, None)) is not None
    ]
    return f", {' and '.join(found)}" if found else ""


def kind_of(key: str, field: FieldInfo) -> str:
    """Return the type and limits of a key's values, as the page shows them."""
    return {
        "device": "`cpu`, `mps` or list of GPU numbers",
        "lexical": f"True, False, or {words(field.annotation)}",
        "positive_threshold": "number from 0 to 1, `auto`, `auto_per_code`",
        "checkpoint_every": "whole number of steps, a time, or null",
        "monitor": "[metric](evaluation.md), `validation_loss` or null",
    }.get(key, words(field.rebuild_annotation()) + bounds(field))


def plain(value: Any) -> str:
    """Return a default as YAML text."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def description_of(path: Path) -> str:
    """Return a configuration's description: its first line, which is a comment."""
    return path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def page() -> str:
    """Return the text of the page."""
    lines = [HEAD.removesuffix("\n")]
    for path in sorted((PAGE.parents[1] / "configs").glob("*.yaml")):
        lines.append(f"| `configs/{path.name}` | {description_of(path)} |")
    defaults = Config().flat()
    for name, section in Config.sections.items():
        lines += ["", f"## {name.capitalize()}", "", (section.__doc__ or "").splitlines()[0], ""]
        lines += ["| key | type | default | meaning | since |", "|---|---|---|---|---|"]
        for key, field in section.model_fields.items():
            cells = [
                f"`{key}`",
                kind_of(key, field),
                f"`{plain(defaults[key])}`",
                field.description or "",
                SINCE.get(key, FIRST),
            ]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
