"""The templates of behavioral tests, as YAML files beside this module or of a user.

    negated:
      expect: not coded
      templates:
        - "The patient denied {name}."
      held out:
        - "No signs of {name}."

After CheckList (Ribeiro et al. 2020, arXiv:2005.04118): capabilities that need a code (``coded``),
that must not get it (``not coded``), and changes of a note that must not change its codes
(``unchanged``, compared with the template's ``base``, or else the first template of ``affirmed``).
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import yaml

from icdcli.errors import ConfigError, DataError, nearest
from icdcli.evaluation.behavior.particles import split_particle
from icdcli.io.files import read_own_file

LANGUAGES = ("en", "es", "ko")
"""The languages that have templates."""

Expectation = Literal["coded", "not coded", "unchanged"]
About = Literal[
    "conditions",
    "diseases",
    "acute diseases",
    "symptoms",
    "abbreviated",
    "sides",
    "personal histories",
    "family histories",
]
"""What the notes of a capability are about; see `icdcli.evaluation.behavior.conditions`."""
FIELDS = (
    *("name", "Name", "NAME", "synonym", "wording", "abbreviation", "typo", "broken", "unspaced"),
    *("other", "Other", "OTHER", "others"),
)
"""What may be in braces, also with a Korean particle; see `icdcli.evaluation.behavior.suite`."""

_AFFIRMED = "affirmed"
_KEYS = ("expect", "templates", "held out", "about")


@dataclass(frozen=True)
class NoteTemplate:
    """A note with fields in braces.

    Attributes:
        text: The note.
        base: The note whose codes it must have too; empty unless its capability is ``unchanged``.
        held_out: It isn't looked at while cues, words and models are made.
    """

    text: str
    base: str = ""
    held_out: bool = False

    @property
    def fields(self) -> frozenset[str]:
        """Return the fields of both texts."""
        return frozenset(_fields(self.text) + _fields(self.base))


@dataclass(frozen=True)
class Capability:
    """A capability and the notes that test it.

    Attributes:
        name: Its name.
        expect: What must happen to the condition's code.
        templates: Its templates.
        about: What its notes are about.
    """

    name: str
    expect: Expectation
    templates: tuple[NoteTemplate, ...]
    about: About = "conditions"


_NONE: Mapping[str, Capability] = MappingProxyType({})


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
    built_in = _parsed(table.read_text(encoding="utf-8"), table.name)
    found = {one.name: one for one in built_in}
    if own is not None:
        for one in _parsed(read_own_file(own, "the templates"), str(own), found):
            before = found.get(one.name)
            if before is None:
                found[one.name] = one
                continue
            if (before.expect, before.about) != (one.expect, one.about):
                raise DataError(
                    f"{own}: {one.name!r} expects {before.expect!r} about {before.about}, not "
                    f"{one.expect!r} about {one.about}. Choose another name."
                )
            templates = (*before.templates, *one.templates)
            found[one.name] = Capability(one.name, one.expect, templates, one.about)
    return list(found.values())


def _parsed(text: str, name: str, known: Mapping[str, Capability] = _NONE) -> list[Capability]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(f"{name} isn't valid YAML ({str(error).splitlines()[0]}).") from error
    if not isinstance(content, dict):
        raise DataError(f"{name}: expected capabilities with `expect` and `templates`.")
    return [_capability(str(key), value, name, known) for key, value in content.items()]


def _capability(key: str, value: Any, name: str, known: Mapping[str, Capability]) -> Capability:
    where = f"{name}, {key!r}"
    if not isinstance(value, dict) or not {"expect", "templates"} <= set(value):
        raise DataError(f"{where}: expected the keys `expect` and `templates`.")
    unknown = next((str(one) for one in value if one not in _KEYS), None)
    if unknown is not None:
        hint = nearest(unknown, _KEYS)
        raise DataError(f"{where}: unknown key {unknown!r}{hint}. The keys are {', '.join(_KEYS)}.")
    expectations: tuple[Expectation, ...] = get_args(Expectation)
    expect = next((one for one in expectations if one == value["expect"]), None)
    if expect is None:
        hint = nearest(str(value["expect"]), expectations)
        raise DataError(f"{where}: `expect` must be {', '.join(expectations)}{hint}.")
    subjects: tuple[About, ...] = get_args(About)
    usual = known[key].about if key in known else "conditions"
    about = next((one for one in subjects if one == value.get("about", usual)), None)
    if about is None:
        hint = nearest(str(value["about"]), subjects)
        raise DataError(f"{where}: `about` must be {', '.join(subjects)}{hint}.")
    templates = []
    for part in ("templates", "held out"):
        listed = value.get(part, [] if part == "held out" else None)
        if not isinstance(listed, list) or (part == "templates" and not listed):
            raise DataError(f"{where}: `{part}` must be a list of texts.")
        for one in listed:
            if isinstance(one, dict) and expect != "unchanged":
                raise DataError(f"{where}: only `unchanged` templates have a base.")
            affirmed = known[_AFFIRMED].templates[0].text if known else ""
            own_base = affirmed if expect == "unchanged" else ""
            templates.append(_template(one, where, own_base, held_out=part == "held out"))
    return Capability(key, expect, tuple(templates), about)


def _template(given: object, where: str, base: str, *, held_out: bool) -> NoteTemplate:
    both: tuple[object, object] = (given, base)
    if isinstance(given, dict):
        if set(given) != {"base", "text"}:
            raise DataError(f"{where}: a template with keys needs `base` and `text`.")
        both = (given["text"], given["base"])
    for one in both if base or isinstance(given, dict) else (given,):
        _check(one, where)
    text, compared = both
    return NoteTemplate(str(text), str(compared), held_out)


def _check(template: object, where: str) -> None:
    if not isinstance(template, str):
        raise DataError(f"{where}: a template must be a text. Put it in quotes.")
    try:
        fields = _fields(template)
    except ValueError as error:
        raise DataError(f"{where}: a template has an unbalanced brace.") from error
    unknown = [field for field in fields if split_particle(field)[0] not in FIELDS]
    if unknown or not fields:
        what = f"unknown field {{{unknown[0]}}}" if unknown else "a template without a field"
        raise DataError(f"{where}: {what}. The fields are {', '.join(FIELDS)}.")


def _fields(text: str) -> list[str]:
    return [field for _, field, _, _ in string.Formatter().parse(text) if field is not None]
