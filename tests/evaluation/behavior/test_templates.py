"""Templates are complete; a mistake in a user's file is named."""

from pathlib import Path
from typing import get_args

import pytest

from icdcli.errors import ConfigError, DataError
from icdcli.evaluation.behavior.particles import PARTICLES
from icdcli.evaluation.behavior.templates import (
    FIELDS,
    LANGUAGES,
    About,
    Expectation,
    load_templates,
)

DENIED = ("negated", "list of negatives", "family", "family section", "ruled out", "resolved")
DENIED = (*DENIED, "return precautions", "indication", "allergy reaction", "unchecked box")
FOUND = ("affirmed", "affirmed beside denials", "synonym", "abbreviation")
FOUND = (*FOUND, "laterality", "personal history", "family history")
SAME = ("line breaks", "irrelevant sentences", "placeholders", "date formats", "order of sections")


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_tests_facts_against_mentions(language: str) -> None:
    expectations = {one.name: one.expect for one in load_templates(language)}
    assert {expectations.pop(name) for name in FOUND} == {"coded"}
    assert {expectations.pop(name) for name in DENIED} == {"not coded"}
    assert {expectations.pop(name) for name in SAME} == {"unchanged"}
    own = ("spacing",) if language == "ko" else ("typo", "capitals")
    assert expectations == dict.fromkeys(own, "coded")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_third_of_the_templates_of_each_capability_is_held_out(language: str) -> None:
    capabilities = load_templates(language)
    for one in capabilities:
        held_out = sum(template.held_out for template in one.templates)
        assert 1 / 4 <= held_out / len(one.templates) <= 1 / 2, one.name
        assert len({(of.text, of.base) for of in one.templates}) == len(one.templates), one.name
    assert sum(len(one.templates) for one in capabilities) >= 100


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_changed_note_has_the_same_conditions_as_its_base(language: str) -> None:
    for one in load_templates(language):
        for template in one.templates:
            if one.expect == "unchanged":
                changed, base = (text.count("{") for text in (template.text, template.base))
                assert changed == base > 0
                assert template.text != template.base
            else:
                assert not template.base


def test_the_example_of_the_page_is_valid_and_the_page_names_every_key(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "behavior.md").read_text(encoding="utf-8")
    example = page.partition("```text\n")[2].partition("```")[0]
    own = tmp_path / "own.yaml"
    own.write_text(example, encoding="utf-8")
    found = {one.name: one for one in load_templates("en", own)}
    assert found["hospital header"].templates[0].base == "Seen for {name}."
    assert found["negated"].templates[-1].held_out
    words = (*get_args(About), *get_args(Expectation), *FIELDS)
    assert [word for word in words if f"`{word}`" not in page] == []
    assert [one for one in PARTICLES if f"`{{name{one}}}`" not in page] == []


def test_own_templates_are_added(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        'negated:\n  expect: not coded\n  templates: ["zilch {name}"]\n'
        'family:\n  expect: not coded\n  templates: ["{name} in twins"]\n'
        'left:\n  expect: coded\n  about: sides\n  templates: ["on the {name}"]\n'
        'shouted:\n  expect: unchanged\n  templates: ["HELLO! {name}"]\n'
        '  held out: [{base: "a {name}", text: "an {name}"}]\n'
    )
    found = {one.name: one for one in load_templates("en", own)}
    assert found["negated"].templates[-1].text == "zilch {name}"
    assert len(found["negated"].templates) > 2
    assert found["family"].about == "diseases"
    assert (found["left"].templates[0].text, found["left"].about) == ("on the {name}", "sides")
    first, second = found["shouted"].templates
    assert (first.base, first.held_out) == (found["affirmed"].templates[0].text, False)
    assert (second.base, second.text, second.held_out) == ("a {name}", "an {name}", True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "expected capabilities"),
        ("a: [", "isn't valid YAML"),
        ("a: 1", "'a': expected the keys `expect` and `templates`"),
        ('a: {expect: code, templates: ["{name}"]}', "(did you mean 'coded'?)"),
        ('a: {expect: coded, templates: "{name}"}', "`templates` must be a list"),
        ("a: {expect: coded, templates: []}", "`templates` must be a list"),
        ("a: {expect: coded, templates: [1]}", "a template must be a text"),
        ('a: {expect: coded, templates: ["{condition}"]}', "unknown field {condition}"),
        ('a: {expect: coded, templates: ["fever"]}', "a template without a field"),
        ('a: {expect: coded, templates: ["{name"]}', "unbalanced brace"),
        ('affirmed: {expect: not coded, templates: ["{name}"]}', "'affirmed' expects 'coded'"),
        (
            'family: {expect: not coded, templates: ["{name}"], about: sides}',
            "'family' expects 'not coded' about diseases",
        ),
        ('a: {expect: coded, templates: ["{name}"], held-out: []}', "did you mean 'held out'?"),
        ('a: {expect: coded, templates: ["{name}"], held out: 1}', "`held out` must be a list"),
        ('a: {expect: coded, templates: ["{name}"], about: side}', "did you mean 'sides'?"),
        ('a: {expect: coded, templates: ["{name은}", "{은}"]}', "unknown field {은}"),
        ('a: {expect: unchanged, templates: [{text: "{name}"}]}', "needs `base` and `text`"),
        ('a: {expect: unchanged, templates: [{text: "{name}", base: "x"}]}', "without a field"),
        ('a: {expect: coded, templates: [{text: "{name}", base: "{name}"}]}', "only `unchanged`"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, content: str, message: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as error:
        load_templates("en", own)
    assert "own.yaml" in str(error.value)
    assert message in str(error.value)


def test_a_missing_file_and_another_language_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the templates"):
        load_templates("en", tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="no behavioral tests for language=fr"):
        load_templates("fr")
