"""Configurations as text: YAML in with line numbers, YAML out with comments, and a schema for editors."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from icdcli.config.schema import Config, Section, impossible_combinations
from icdcli.errors import ConfigError, nearest

FIELDS: dict[str, tuple[str, FieldInfo]] = {
    key: (section, field)
    for section, kind in Config.sections.items()
    for key, field in kind.model_fields.items()
}
_COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True)
class _Value:
    """A key's value and the place it was written in."""

    value: Any
    place: str


def shipped_configs() -> dict[str, Path]:
    """The configurations that come with icdcode, by name: beside the package's modules, or in the checkout."""
    package = Path(__file__).parents[1]
    folder = next(
        place for place in (package / "configs", package.parent / "configs") if place.is_dir()
    )
    return {path.name: path for path in sorted(folder.glob("*.yaml"))}


def found_config(path: Path) -> Path:
    """A configuration file; where none is there, the one that comes with icdcode under the name NAME or configs/NAME."""
    if path.exists() or path.parent not in (Path("."), Path("configs")):
        return path
    return shipped_configs().get(path.name, path)


def read_config(path: Path | None, overrides: Sequence[str]) -> Config:
    """Read a file and its overrides; see `icdcli.config.schema.load_config`."""
    problems: list[str] = []
    values: dict[str, _Value] = {}
    if path is not None:
        values.update(_from_file(found_config(path), problems))
    values.update(_from_overrides(overrides, problems))
    for key in [key for key in values if key not in FIELDS]:
        problems.append(f"{values.pop(key).place}: unknown key {key!r}{nearest(key, FIELDS)}")
    sections = {
        name: _section(name, kind, values, problems) for name, kind in Config.sections.items()
    }
    if all(section is not None for section in sections.values()):
        config = Config.model_validate(sections)
        for key, message in impossible_combinations(config):
            place = values[key].place if key in values else "default"
            problems.append(f"{place}: {key}: {message}")
    if problems:
        problems.sort(
            key=lambda told: (
                int(told.split()[1].rstrip(":")) if told.startswith("line ") else sys.maxsize
            )
        )
        source = str(path) if path is not None else "the configuration"
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError("\n  ".join([f"{source} has {count}:", *problems]))
    return config


def _from_file(path: Path, problems: list[str]) -> dict[str, _Value]:
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except FileNotFoundError:
        if "=" in path.name:
            raise ConfigError(
                f"{path}: a key without a configuration; name its file first, e.g. config.yaml {path}"
            ) from None
        hint = f"{nearest(path.name, shipped_configs())}; `icdcode config list` names those that come with icdcode"
        raise ConfigError(f"{path}: there is no such configuration file{hint}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder, not a YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(
            f"{path}, line {line}: not valid YAML: {error.problem or error}"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        kind = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
        raise ConfigError(f"{path}: is {kind}; a configuration is a mapping of `key: value` lines")
    values: dict[str, _Value] = {}
    loader = yaml.SafeLoader("")
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = str(key_node.value)
        if key in values:
            problems.append(f"line {line}: {key!r} stands twice, first at {values[key].place}")
        try:
            values[key] = _Value(loader.construct_object(value_node, deep=True), f"line {line}")
        except yaml.YAMLError as error:
            problems.append(f"line {line}: {key}: not a value: {error}")
    return values


def _from_overrides(overrides: Sequence[str], problems: list[str]) -> dict[str, _Value]:
    values = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            problems.append(f"{_COMMAND_LINE}: {override!r} should be key=value")
            continue
        try:
            values[key.strip()] = _Value(yaml.safe_load(text), _COMMAND_LINE)
        except yaml.YAMLError:
            problems.append(f"{_COMMAND_LINE}: {key}: {text!r} is not a YAML value")
    return values


def _section(
    name: str, kind: type[Section], values: dict[str, _Value], problems: list[str]
) -> Section | None:
    given = {key: found for key, found in values.items() if FIELDS[key][0] == name}
    try:
        return kind.model_validate({key: found.value for key, found in given.items()})
    except ValidationError as error:
        told = set()
        for detail in error.errors():
            key = str(detail["loc"][0])
            # A union reports each alternative that failed; the first says enough.
            if key in told:
                continue
            told.add(key)
            message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
            problems.append(f"{given[key].place}: {key}: {message}, got {given[key].value!r}")
        return None


def to_yaml(config: Config, explain: bool = False) -> str:
    """The configuration as a YAML file that reads back as the same configuration.

    Args:
        config: What to write.
        explain: Whether each key is followed by a comment that says what it means.
    """
    flat = config.flat()
    lines: list[str] = []
    for name, kind in Config.sections.items():
        if lines:
            lines.append("")
        if explain:
            lines.append(f"# {name}: {(kind.__doc__ or '').splitlines()[0]}")
        for key, field in kind.model_fields.items():
            line = f"{key}: {_yaml_value(flat[key])}"
            lines.append(f"{line:<42} # {field.description}" if explain else line)
    return "\n".join(lines) + "\n"


def _yaml_value(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def config_schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) of the flat YAML file, for editors."""
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
