"""Configurations as text: read YAML with line numbers, write YAML with comments, and a JSON Schema.

`load_config` collects all problems of a file and its overrides and reports them in one message.
"""

import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from icdcli.config.fields import Section
from icdcli.config.run_paths import RUN_CONFIG, resolve_paths
from icdcli.config.schema import Config
from icdcli.config.yaml_values import Loader, text_of, value_of, value_of_word
from icdcli.errors import ConfigError, nearest
from icdcli.io.tables.database import without_password

FIELDS: dict[str, tuple[str, FieldInfo]] = {
    key: (section, field)
    for section, kind in Config.sections.items()
    for key, field in kind.model_fields.items()
}
"""Every key, with the name of its section and its field."""

_COMMAND_LINE = "command line"
_WIDTH = 79
_OLDER_NAMES = {
    old: new for kind in Config.sections.values() for old, new in kind.older_names.items()
}
_NAMES_ELSEWHERE = {  # what other tools call a key, where the words are not alike
    **dict.fromkeys(("lr", "learning_rate"), "lr0"),
    **dict.fromkeys(("output_dir", "save_dir"), "project"),
    **dict.fromkeys(("epochs", "num_epochs", "max_epochs", "num_train_epochs"), "steps"),
}
_BOOLEAN = "should be True or False"
_PROBLEMS = {  # pydantic's types of errors, where its own words are not a user's
    **dict.fromkeys(("int_parsing", "int_type"), "should be a whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), "should be a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), _BOOLEAN),
    **dict.fromkeys(("string_type", "path_type"), "should be text"),
    "list_type": "should be a list, such as [one, two]",
}
_NOT_A_VALUE = (yaml.YAMLError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class _Value:
    """A key's value and its place in the file or on the command line."""

    value: Any
    place: str


def load_config(
    path: Path | str | None = None, overrides: Sequence[str] = (), *, as_typed: bool = False
) -> Config:
    """Load and check a configuration.

    Args:
        path: A YAML file; None starts from the defaults.
        overrides: ``key=value`` strings, with values written as in YAML. They take precedence over
            the file and are checked in the same way.
        as_typed: Whether to keep the relative paths in the ``args.yaml`` of a run; otherwise they
            are made to hold in the working folder (`icdcli.config.run_paths`).

    Raises:
        ConfigError: With every problem of the file and the overrides: the place, the reason, and
            the nearest valid key.
    """
    problems: list[str] = []
    in_file: dict[str, _Value] = {}
    if path is not None:
        found = find_config(Path(path))
        in_file = _read_yaml(found, problems)
        # A run's own file has every key. The newer name counts, as it did when the run began.
        _use_newer_names(in_file, [] if found.name == RUN_CONFIG else problems)
    given = _parse_overrides(overrides, problems)
    _use_newer_names(given, problems)
    values = _overridden(in_file, given)
    for key in [key for key in values if key not in FIELDS]:
        problems.append(f"{values.pop(key).place}: unknown key {key!r}{_meant(key)}")
    sections = {
        name: _parse_section(name, kind, values, problems) for name, kind in Config.sections.items()
    }
    if all(section is not None for section in sections.values()):
        config = Config.model_validate(sections)
        for conflict in config.conflicts():
            place = values[conflict.key].place if conflict.key in values else "default"
            problems.append(f"{place}: {conflict.key}: {conflict.message}")
    if problems:
        problems.sort(key=_line_number)
        source = str(path) if path is not None else "the configuration"
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError("\n  ".join([f"{source} has {count}:", *problems]))
    if path is not None and found.name == RUN_CONFIG and not as_typed:
        return resolve_paths(config, found, given)
    return config


def _meant(key: str) -> str:
    """Return a hint at the key that an unknown one stands for."""
    known = _NAMES_ELSEWHERE.get(key)
    if known == "steps":
        return " (set steps: an epoch has documents / batch_size of them)"
    return nearest(known or key, FIELDS)


def shipped_configs() -> dict[str, Path]:
    """Return the configurations that come with icdcode, by file name."""
    # In an installed package they are in icdcli/configs, in a checkout next to icdcli.
    package = Path(__file__).parents[1]
    folder = next(
        place for place in (package / "configs", package.parent / "configs") if place.is_dir()
    )
    return {path.name: path for path in sorted(folder.glob("*.yaml"))}


def find_config(path: Path) -> Path:
    """Return the path, or the shipped configuration of that name if the file doesn't exist.

    Args:
        path: A path; only NAME and configs/NAME can mean a shipped configuration. NAME may lack
            its ``.yaml``, and then a folder may have this name, too.
    """
    if path.is_file() or path.parent not in (Path("."), Path("configs")):
        return path
    shipped = shipped_configs()
    if path.exists():
        return shipped.get(f"{path.name}.yaml", path)
    return shipped.get(path.name) or shipped.get(f"{path.name}.yaml", path)


def to_yaml(config: Config, explain: bool = False) -> str:
    """Return the configuration as YAML text that loads as the same configuration.

    Args:
        config: The configuration.
        explain: If True, a comment above each key describes it.
    """
    flat = config.flat()
    lines: list[str] = []
    for name, kind in Config.sections.items():
        if lines:
            lines.append("")
        if explain:
            lines += _comment(f"== {name}: {(kind.__doc__ or '').splitlines()[0]}")
        for key, field in kind.model_fields.items():
            if explain:
                lines += ["", *_comment(field.description or "")]
            lines.append(f"{key}: {text_of(flat[key])}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    """Return a text as lines of a comment that fit the narrowest usual terminal."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def config_schema() -> dict[str, Any]:
    """Return a JSON Schema (draft 2020-12) of the flat YAML file, for editors."""
    properties: dict[str, Any] = {}
    for kind in Config.sections.values():
        schema = kind.model_json_schema(mode="validation")
        properties.update(schema["properties"])
    properties["device"] |= {
        "anyOf": [{"type": "string"}, {"type": "integer"}, *properties["device"]["anyOf"]]
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "icdcode configuration",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def _read_yaml(path: Path, problems: list[str]) -> dict[str, _Value]:
    node = _compose_yaml(path)
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        kind = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
        raise ConfigError(f"{path}: is {kind}; a configuration is a mapping of `key: value` lines")
    values: dict[str, _Value] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = str(key_node.value)
        if key in values:
            problems.append(f"line {line}: {key!r} is set twice, first at {values[key].place}")
        try:
            values[key] = _Value(value_of(value_node, _type_of(key)), f"line {line}")
        except (*_NOT_A_VALUE, RecursionError) as error:
            problems.append(f"line {line}: {key}: not a value: {error}")
    return values


def _compose_yaml(path: Path) -> yaml.Node | None:
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=Loader)
    except FileNotFoundError:
        shown = without_password(str(path))
        if "=" in path.name or "=" in path.parts[0]:
            raise ConfigError(
                f"{shown}: a key without a configuration. Give the file first: config.yaml {shown}"
            ) from None
        hint = f"{nearest(path.name, shipped_configs())}. See those that come with icdcode: "
        hint += "icdcode config list"
        raise ConfigError(f"{shown}: there is no such configuration file{hint}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder, not a YAML file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: isn't text in UTF-8. Save it again as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}).") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(
            f"{path}, line {line}: not valid YAML: {error.problem or error}"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: has too many brackets in each other") from None


def _is_utf8(argument: str) -> bool:
    """Return whether the bytes of an argument that Python couldn't decode are valid UTF-8."""
    try:
        argument.encode(errors="surrogateescape").decode()
    except UnicodeError:
        return False
    return True


def _parse_overrides(overrides: Sequence[str], problems: list[str]) -> dict[str, _Value]:
    values = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            problems.append(f"{_COMMAND_LINE}: {override!r} should be key=value")
            continue
        key = key.strip()
        shown = text.encode(errors="replace").decode()
        if shown != text:
            problems.append(
                f"{_COMMAND_LINE}: {key}: {shown} isn't valid UTF-8. Rename the file or folder"
                if not _is_utf8(text)
                else f"{_COMMAND_LINE}: {key}: has characters that Python's settings exclude. Set "
                "PYTHONUTF8=1 in the environment"
            )
            continue
        try:
            values[key] = _Value(value_of_word(text, _type_of(key)), _COMMAND_LINE)
        except _NOT_A_VALUE:
            problems.append(f"{_COMMAND_LINE}: {key}: {text!r} is not a YAML value")
        except RecursionError:
            problems.append(f"{_COMMAND_LINE}: {key}: has too many brackets in each other")
    return values


def _use_newer_names(values: dict[str, _Value], problems: list[str]) -> None:
    """Remove the older of two names of one key that are both set, and report it as a problem."""
    for old, new in _OLDER_NAMES.items():
        if old not in values or new not in values or values[new].value is None:
            continue
        removed, kept = values.pop(old), values[new]
        # `config show` writes every key, so that an older name with its default may remain.
        if removed.value not in (None, kept.value, *_spellings(FIELDS[old][1].default)):
            problems.append(
                f"{removed.place}: {old}: is an older name of {new}, which is set, too "
                f"({kept.place}). Delete one of them"
            )


def _spellings(folder: Path) -> tuple[str, str]:
    return str(folder), f"{folder}/"


def _overridden(in_file: dict[str, _Value], given: dict[str, _Value]) -> dict[str, _Value]:
    """Return the values of a file and the command line, which wins under either name of a key."""
    kept = dict(in_file)
    for old, new in _OLDER_NAMES.items():
        if old in given and given[old].value is not None:
            kept.pop(new, None)
        elif new in given and given[new].value is not None:
            kept.pop(old, None)
    return kept | given


def _type_of(key: str) -> Any:
    return FIELDS[key][1].annotation if key in FIELDS else Any


def _parse_section(
    name: str, kind: type[Section], values: dict[str, _Value], problems: list[str]
) -> Section | None:
    given = {key: found for key, found in values.items() if FIELDS[key][0] == name}
    try:
        return kind.model_validate({key: found.value for key, found in given.items()})
    except ValidationError as error:
        messages: dict[str, str] = {}
        for detail in error.errors():
            key = str(detail["loc"][0])
            message = _PROBLEMS.get(detail["type"]) or detail["msg"]
            message = message.removeprefix("Value error, ").removeprefix("Input ")
            # A union reports every alternative that failed; the first is enough, but for a word.
            if messages.setdefault(key, message) == _BOOLEAN and detail["type"] == "literal_error":
                messages[key] = f"should be True, False or {detail['ctx']['expected']}"
        for key, message in messages.items():
            got = without_password(repr(given[key].value))
            problems.append(f"{given[key].place}: {key}: {message}, got {got}")
        return None


def _line_number(problem: str) -> int:
    """Return the line of the file that a problem is in; those of the command line come last."""
    return int(problem.split()[1].rstrip(":")) if problem.startswith("line ") else sys.maxsize
