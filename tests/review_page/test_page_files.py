"""Tests of the files that the page consists of: words, templates, scripts and styles."""

import json
import re
from pathlib import Path

import pytest

import icdcli

FOLDER = Path(icdcli.__file__).parent / "review_page"
LANGUAGES = ("en", "ko", "es")
SCRIPTS = sorted((FOLDER / "static").glob("*.js"))
TEMPLATES = sorted((FOLDER / "templates").glob("*.html"))
STYLES = sorted((FOLDER / "static").glob("*.css"))
# A key as a script or a template writes it; `${…}` and `~` stand for its variable part.
SAID = re.compile(r"\b(?:say|has)\(\s*([\"`])([a-z]+\..*?)\1", re.DOTALL)
CHOSEN = re.compile(r"\"([a-z]+\.[a-z_0-9]+)\"")
TEMPLATE_KEY = re.compile(r"words\[([^\]]+)\]")


def messages(language: str) -> dict[str, str]:
    return json.loads((FOLDER / "messages" / f"{language}.json").read_text(encoding="utf-8"))


def used_keys() -> dict[str, str]:
    """Return the patterns of the keys that scripts and templates use, with one of their files."""
    found = {}
    for path in SCRIPTS:
        text = path.read_text(encoding="utf-8")
        for _, key in SAID.findall(text):
            found[re.sub(r"\\\$\\{.*?\\}", ".+", re.escape(key))] = path.name
        for line in text.splitlines():
            # `say(isOpen ? "note.fold_all" : "note.unfold_all")`
            if re.search(r"say\(\w+ \?", line):
                found |= {re.escape(key): path.name for key in CHOSEN.findall(line)}
    for path in TEMPLATES:
        for inside in TEMPLATE_KEY.findall(path.read_text(encoding="utf-8")):
            if "~" in inside:
                found[re.escape(inside.split('"')[1]) + ".+"] = path.name
            else:
                found |= {re.escape(key): path.name for key in CHOSEN.findall(inside)}
    return found


def test_each_language_has_the_same_words() -> None:
    keys = [list(messages(language)) for language in LANGUAGES]
    assert keys[0] == keys[1] == keys[2]
    assert len(keys[0]) > 200
    for language in LANGUAGES:
        assert [key for key, text in messages(language).items() if not text.strip()] == []


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_translations_have_the_same_values(language: str) -> None:
    def values(text: str) -> list[str]:
        return sorted(re.findall(r"\{\w+\}", text))

    translated = messages(language)
    wrong = [
        key
        for key, text in messages("en").items()
        if set(values(text)) != set(values(translated[key]))
    ]
    assert wrong == []


def test_a_note_is_called_the_same_in_korean_as_in_the_documentation() -> None:
    other = {key for key, text in messages("ko").items() if "기록" in text}
    assert other == {"poa.U"}  # the medical record, as the reporting rules put it


def test_all_words_that_are_used_exist() -> None:
    keys = messages("en")
    missing = {
        pattern: name
        for pattern, name in used_keys().items()
        if not any(re.fullmatch(pattern, key) for key in keys)
    }
    assert missing == {}


def test_all_words_are_used() -> None:
    patterns = list(used_keys())
    # Kinds of findings and quick reasons are put together from what the server or a list says.
    patterns += [r"finding\.kind\..+", r"reason\..+"]
    unused = [
        key for key in messages("en") if not any(re.fullmatch(each, key) for each in patterns)
    ]
    assert unused == []


def test_quick_reasons_have_words() -> None:
    text = (FOLDER / "static" / "reasons.js").read_text(encoding="utf-8")
    listed = text.partition("QUICK_REASONS = [")[2].partition("]")[0]
    reasons = re.findall(r'"(.+?)"', listed)
    assert len(reasons) >= 5
    expected = {f"reason.{one.replace(' ', '_')}" for one in reasons}
    assert {key for key in messages("en") if key.startswith("reason.")} == expected


def test_scripts_never_read_text_as_markup() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment"
        r"|DOMParser|setHTMLUnsafe|\beval\(|new Function|setAttribute\(\"style\"|srcdoc"
    )
    assert SCRIPTS
    assert [path.name for path in SCRIPTS if forbidden.search(path.read_text("utf-8"))] == []


def test_templates_have_no_script_or_style_of_their_own() -> None:
    for path in TEMPLATES:
        text = path.read_text(encoding="utf-8")
        scripts = re.findall(r"<script\b([^>]*)>(.*?)</script>", text, re.DOTALL)
        own = [content for attributes, content in scripts if "src=" not in attributes and content]
        assert own in ([], ["{{ words | tojson }}"]), path
        assert not re.search(r"<style\b|\sstyle=|\son\w+=|javascript:|\|\s*safe\b", text), path


def test_nothing_is_loaded_from_elsewhere() -> None:
    names = re.compile(r"https?://(?!www\.w3\.org/)|//[a-z]+\.[a-z]+/")
    files = [*SCRIPTS, *TEMPLATES, *STYLES, *(FOLDER / "static").glob("*.svg")]
    assert [path.name for path in files if names.search(path.read_text("utf-8"))] == []


def test_all_modules_of_the_note_page_are_loaded_early() -> None:
    waiting, modules = ["note.js"], set()
    while waiting:
        name = waiting.pop()
        text = (FOLDER / "static" / name).read_text(encoding="utf-8")
        found = set(re.findall(r'(?:from|import) "\./(\S+?)"', text)) - modules
        modules |= found
        waiting += found
    text = (FOLDER / "templates" / "note.html").read_text(encoding="utf-8")
    listed = re.search(r"for module in \[(.*?)\]", text)
    assert listed
    assert {f"{name}.js" for name in re.findall(r'"(\w+)"', listed[1])} == modules


# Colors


def palettes() -> list[dict[str, str]]:
    """Return the light and the dark colors."""
    text = (FOLDER / "static" / "colors.css").read_text(encoding="utf-8")
    pair = r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);"
    found = re.findall(pair, text)
    return [{name: values[place] for name, *values in found} for place in (0, 1)]


def luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_color_is_light_and_dark() -> None:
    text = (FOLDER / "static" / "colors.css").read_text(encoding="utf-8")
    names = set(re.findall(r"--([\w-]+):", text)) - {"shadow"}
    assert names == palettes()[0].keys() == palettes()[1].keys()
    assert text.count("#") == 2 * len(names)


@pytest.mark.parametrize("palette", [0, 1], ids=["light", "dark"])
def test_text_has_enough_contrast(palette: int) -> None:
    colors = palettes()[palette]
    grounds = ("ground", "paper", "raised", "sunken")
    pairs = [(ink, ground) for ink in ("ink", "ink-quiet", "accent") for ground in grounds]
    pairs += [(ink, ground) for ink in ("yes", "no", "hint") for ground in ("paper", "raised")]
    pairs += [(name, f"{name}-ground") for name in ("yes", "no", "hint", "accent")]
    pairs += [("ink", name) for name in ("words", "words-chosen", "words-marked", "no-ground")]
    pairs += [("ink", "accent-ground"), ("ink-quiet", "accent-ground"), ("on-accent", "accent")]
    low = {pair: contrast(*(colors[name] for name in pair)) for pair in pairs}
    assert {pair: round(value, 2) for pair, value in low.items() if value < 4.5} == {}


@pytest.mark.parametrize("palette", [0, 1], ids=["light", "dark"])
def test_borders_of_fields_are_visible(palette: int) -> None:
    colors = palettes()[palette]
    for ground in ("paper", "ground"):
        assert contrast(colors["line-strong"], colors[ground]) >= 3
