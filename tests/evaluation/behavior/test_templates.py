"""Templates are whole; a mistake in a user's file is named."""

from pathlib import Path

import pytest

from icdcli.errors import ConfigError, DataError
from icdcli.evaluation.behavior.templates import LANGUAGES, base_template, load_templates


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_tests_facts_against_mentions(language: str) -> None:
    expectations = {one.name: one.expect for one in load_templates(language)}
    assert {expectations[name] for name in ("affirmed", "synonym", "abbreviation", "typo")} == {
        "coded"
    }
    denied = ("negated", "list of negatives", "family", "family section", "ruled out")
    assert {expectations[name] for name in denied} == {"not coded"}
    assert "{name}" in base_template(load_templates(language))


def test_own_templates_are_added(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        'negated:\n  expect: not coded\n  templates: ["zilch {name}"]\n'
        'left:\n  expect: coded\n  templates: ["left {name}"]\n'
    )
    found = {one.name: one for one in load_templates("en", own)}
    assert found["negated"].templates[-1] == "zilch {name}"
    assert len(found["negated"].templates) > 2
    assert found["left"].templates == ("left {name}",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "expected capabilities"),
        ("a: [", "isn't valid YAML"),
        ("a: 1", "'a': expected the keys `expect` and `templates`"),
        ('a: {expect: code, templates: ["{name}"]}', "(did you mean 'coded'?)"),
        ('a: {expect: coded, templates: "{name}"}', "`templates` must be a list"),
        ("a: {expect: coded, templates: [1]}", "a template must be a text"),
        ('a: {expect: coded, templates: ["{condition}"]}', "unknown field {condition}"),
        ('a: {expect: coded, templates: ["fever"]}', "a template without a field"),
        ('a: {expect: coded, templates: ["{name"]}', "unbalanced brace"),
        ('affirmed: {expect: not coded, templates: ["{name}"]}', "'affirmed' expects 'coded'"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, content: str, message: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(content)
    with pytest.raises(DataError) as error:
        load_templates("en", own)
    assert "own.yaml" in str(error.value)
    assert message in str(error.value)


def test_a_missing_file_and_another_language_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the templates"):
        load_templates("en", tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="no behavioral tests for language=ko"):
        load_templates("ko")
