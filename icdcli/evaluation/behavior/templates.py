"""The templates of behavioral tests, as YAML files beside this module or of a user.

    negated:
      expect: not coded
      templates:
        - "The patient denied {name}."

After CheckList (Ribeiro et al. 2020, arXiv:2005.04118): capabilities that need a code (``coded``),
that must not get it (``not coded``), and changes of a note that must not change its codes
(``unchanged``, compared with the first template of ``affirmed``).
"""

import string
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from icdcli.errors import ConfigError, DataError, nearest
from icdcli.io.files import read_own_file

LANGUAGES = ("en", "es")
"""The languages that have templates."""

Expectation = Literal["coded", "not coded", "unchanged"]
FIELDS = ("name", "Name", "NAME", "synonym", "abbreviation", "typo", "other", "others")
"""What may stand in braces; see `icdcli.evaluation.behavior.suite`."""

_AFFIRMED = "affirmed"


@dataclass(frozen=True)
class Capability:
    """A capability and the notes that test it.

    Attributes:
        name: Its name.
        expect: What must happen to the condition's code.
        templates: Texts with fields in braces.
    """

    name: str
    expect: Expectation
    templates: tuple[str, ...]


def load_templates(language: str, own: Path | None = None) -> list[Capability]:
    """Return the capabilities of a language, and those of a user's file.

    Args:
        language: One of `LANGUAGES`.
        own: A YAML file. Its templates are added to a capability of the same name.

    Raises:
        ConfigError: The language has no templates, or the file can't be read.
        DataError: The file has a mistake.
    """
    if language not in LANGUAGES:
        raise ConfigError(
            f"no behavioral tests for language={language}; there are some for "
            f"{', '.join(LANGUAGES)}."
        )
    table = files("icdcli.evaluation.behavior").joinpath(f"templates_{language}.yaml")
    found = {one.name: one for one in _parsed(table.read_text(encoding="utf-8"), table.name)}
    if own is not None:
        for one in _parsed(read_own_file(own, "the templates"), str(own)):
            before = found.get(one.name)
            if before is not None and before.expect != one.expect:
                raise DataError(
                    f"{own}: {one.name!r} expects {before.expect!r}, not {one.expect!r}. Choose "
                    "another name."
                )
            earlier = before.templates if before is not None else ()
            found[one.name] = Capability(one.name, one.expect, (*earlier, *one.templates))
    return list(found.values())


def base_template(capabilities: list[Capability]) -> str:
    """Return the template that those that expect ``unchanged`` are compared with."""
    return next(one.templates[0] for one in capabilities if one.name == _AFFIRMED)


def _parsed(text: str, name: str) -> list[Capability]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(f"{name} isn't valid YAML ({str(error).splitlines()[0]}).") from error
    if not isinstance(content, dict):
        raise DataError(f"{name}: expected capabilities with `expect` and `templates`.")
    return [_capability(str(key), value, name) for key, value in content.items()]


def _capability(key: str, value: Any, name: str) -> Capability:
    where = f"{name}, {key!r}"
    if not isinstance(value, dict) or set(value) != {"expect", "templates"}:
        raise DataError(f"{where}: expected the keys `expect` and `templates`.")
    expectations: tuple[Expectation, ...] = get_args(Expectation)
    expect = next((one for one in expectations if one == value["expect"]), None)
    if expect is None:
        hint = nearest(str(value["expect"]), expectations)
        raise DataError(f"{where}: `expect` must be {', '.join(expectations)}{hint}.")
    templates = value["templates"]
    if not isinstance(templates, list) or not templates:
        raise DataError(f"{where}: `templates` must be a list of texts.")
    for template in templates:
        _check(template, where)
    return Capability(key, expect, tuple(templates))


def _check(template: object, where: str) -> None:
    if not isinstance(template, str):
        raise DataError(f"{where}: a template must be a text. Put it in quotes.")
    try:
        fields = [
            field for _, field, _, _ in string.Formatter().parse(template) if field is not None
        ]
    except ValueError as error:
        raise DataError(f"{where}: a template has an unbalanced brace.") from error
    unknown = [field for field in fields if field not in FIELDS]
    if unknown or not fields:
        what = f"unknown field {{{unknown[0]}}}" if unknown else "a template without a field"
        raise DataError(f"{where}: {what}. The fields are {', '.join(FIELDS)}.")
