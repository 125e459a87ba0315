import copy
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from icdcli.report.plots.corpus import corpus_figure, corpus_png
from icdcli.report.views.corpus import Bars, corpus_view

Render = Callable[..., list[str]]

BENCHMARK: dict[str, Any] = {
    "protocol": "mimic3-full",
    "is_benchmark": True,
    "reason": "",
    "counts": {
        "train documents": {"found": 47719, "published": 47719},
        "labels": {"found": 8929, "published": 8929},
    },
}


def summary(*counts: int, scale: str = "linear") -> dict[str, Any]:
    edges = [4, 12, 40, 13_000] if scale == "log" else [100, 5_100, 10_100, 15_100]
    quantiles = {
        "min": 104,
        "p5": 411,
        "p25": 903,
        "p50": 1344,
        "p75": 2000,
        "p95": 13527,
        "max": 15001,
    }
    return {
        "mean": 1513.24,
        **quantiles,
        "histogram": {"scale": scale, "edges": edges, "counts": list(counts)},
    }


def pair(subjects: int | None = 0, texts: int = 0, documents: int = 0) -> dict[str, int | None]:
    return {"subjects": subjects, "texts": texts, "documents": documents}


def described(**changes: Any) -> dict[str, Any]:
    """Return the description of an invented corpus."""
    splits = ("all", "train", "validation", "test")
    return {
        "dataset": "mimic3",
        "protocol": "patient",
        "documents": 1800,
        "splits": {
            "train": {
                "documents": 1600,
                "subjects": 1200,
                "codes_per_document": 15.94,
                "words_per_document": 1513.2,
            },
            "validation": {
                "documents": 100,
                "subjects": 90,
                "codes_per_document": 15.9,
                "words_per_document": 1500.0,
            },
            "test": {"documents": 100, "codes_per_document": 16.0},
        },
        "labels": {"count": 8929, "without_title": 160},
        "dropped": {"rows outside the D_ICD tables": 4, "nothing": 0},
        "words": {split: summary(0, 3, 8, scale="log") for split in splits},
        "codes": {split: summary(1, 0, 8) for split in splits},
        "leakage": {
            "train & validation": pair(),
            "train & test": pair(),
            "validation & test": pair(),
        },
        "duplicates": {split: {"texts": 0, "documents": 0} for split in splits[1:]},
        "label_frequency": {
            "counts": [1200, 300, 7, 1, 0],
            "mentions": 1508,
            "labels_with": {
                "no": 1,
                "one": 1,
                "fewer_than_5": 2,
                "fewer_than_10": 3,
                "at_least_100": 2,
            },
            "covering": {"50": {"labels": 1, "share": 0.25}, "90": {"labels": 2, "share": 0.5}},
        },
        "labels_by_split": {
            "train": {"seen": 8693, "unseen_in_training": 0},
            "validation": {"seen": 3012, "unseen_in_training": 43},
            "test": {"seen": 4085, "unseen_in_training": 120},
        },
        "without_title": {"count": 160, "first": ["12.34", "99.9"]},
        "tokens": {
            "tokens-0123456789abcdef": {
                "lengths": {split: summary(1, 2, 3) for split in splits},
                "longer_than": {"512": 1700, "1024": 900, "2048": 450, "4096": 9, "8192": 0},
            }
        },
        "chapters": [
            {
                "kind": "diagnosis",
                "id": "390-459",
                "title": "Diseases of the circulatory system",
                "documents": 1500,
            },
            {
                "kind": "procedure",
                "id": "01-05",
                "title": "Operations on the nervous system " * 3,
                "documents": 30,
            },
            {"kind": None, "id": None, "title": "in no chapter", "documents": 3},
        ],
        "benchmark": BENCHMARK,
        **changes,
    }


def test_it_fits_eighty_columns_and_shortens_nothing(render: Render) -> None:
    lines = render(corpus_view(described()))
    assert max(map(len, lines)) <= 80
    without_titles = [line for line in lines if "without a title" not in line]
    assert not any("…" in line for line in without_titles)


def test_splits_labels_and_dropped_rows(render: Render) -> None:
    lines = render(corpus_view(described()))
    assert lines[0] == "Corpus mimic3 · patient"
    assert [line.split() for line in lines[2:7] if line.startswith("t")] == [
        ["train", "1,600", "1,200", "1,513.2", "15.9"],
        ["test", "100", "16.0"],
    ]
    text = "\n".join(lines)
    assert "labels: 8,929, 160 without a title (12.34, 99.9 …)\n" in text
    assert "labels seen: train 8,693, validation 3,012, test 4,085\n" in text
    assert "never seen in training: 43 in validation, 120 in test\n" in text
    assert "dropped or set aside:\n  4  rows outside the D_ICD tables\n" in text
    assert "nothing" not in text


def test_the_decision_about_a_column_of_codes_is_shown(render: Render) -> None:
    decision = "diagnoses, decided for the complete column: of 8 distinct codes, 8 exist as"
    text = " ".join(render(corpus_view(described(codes_column={"decision": decision}))))
    assert f"codes: {decision}" in " ".join(text.split())
    assert "codes: " not in " ".join(render(corpus_view(described(codes_column={}))))


def test_the_long_tail_is_described(render: Render) -> None:
    text = " ".join(render(corpus_view(described())))
    assert (
        "1 labels in no document, 1 in one, 2 in fewer than 5, 3 in fewer than 10; 2 in 100 or more"
        in text
    )
    assert "50 % of the 1,508 code mentions are 1 label (25.0 % of those in use)" in text
    assert "90 % of the 1,508 code mentions are 2 labels (50.0 % of those in use)" in text


def test_quantiles_and_histograms(render: Render) -> None:
    lines = render(corpus_view(described()))
    start = lines.index("words per document")
    assert lines[start + 1].split() == ["mean", "min", "p5", "p25", "p50", "p75", "p95", "max"]
    row = ["validation", "1,513.2", "104", "411", "903", "1,344", "2,000", "13,527", "15,001"]
    assert row in [line.split() for line in lines[start : start + 8]]
    assert "validation   ▃█" in lines
    assert "from 4 to 12,999 words, each bar wider than the one before (log scale)" in lines
    assert "validation  ▁ █" in lines
    assert "from 100 to 15,099 codes, each bar 5,000 wide" in lines


def test_tokens_and_documents_too_long_for_a_model(render: Render) -> None:
    lines = render(corpus_view(described()))
    assert "tokens per document (tokens-0123456789abcdef)" in lines
    rows = [line.split() for line in lines]
    assert ["longer", "than", "512", "1,024", "2,048", "4,096", "8,192", "tokens"] in rows
    assert ["documents", "1,700", "900", "450", "9", "0"] in rows
    assert ["share", "94.4", "%", "50.0", "%", "25.0", "%", "0.5", "%", "0.0", "%"] in rows


def test_one_split_is_not_shown_twice(render: Render) -> None:
    one = described(words={"all": summary(1, 2, 3), "train": summary(1, 2, 3)}, codes={}, tokens={})
    assert not [line for line in render(corpus_view(one)) if line.startswith("all")]


@pytest.mark.parametrize(
    ("counts", "encoding", "drawn"),
    [
        ([1, 0, 8, 16, 1000], "utf-8", "▁ ▁▁█"),
        ([1, 0, 500, 1000], "ascii", ". =@"),
        ([0, 0], "utf-8", "  "),
        ([], "utf-8", ""),
    ],
)
def test_bars_show_every_bin_that_is_not_empty(
    counts: list[int], encoding: str, drawn: str
) -> None:
    file = TextIOWrapper(BytesIO(), encoding=encoding)
    Console(file=file, width=80).print(Bars(counts))
    file.seek(0)
    assert file.read() == drawn + "\n"


def test_no_leakage_is_reported(render: Render) -> None:
    text = "\n".join(render(corpus_view(described())))
    assert "leakage between splits: none" in text
    assert not any(word in text for word in ("warning", "repeated", "can't be checked"))


def test_leakage_is_a_warning(render: Render) -> None:
    leakage = {
        "train & validation": pair(1200, 1, 8),
        "train & test": pair(1),
        "validation & test": pair(0),
    }
    duplicates = {"train": {"texts": 2, "documents": 5}, "test": {"texts": 0, "documents": 0}}
    lines = " ".join(render(corpus_view(described(leakage=leakage, duplicates=duplicates))))
    assert (
        "warning: leakage, in both train and validation: "
        "1,200 subjects and 1 identical text (8 documents)" in lines
    )
    assert "warning: leakage, in both train and test: 1 subject" in lines
    assert lines.count("warning") == 2
    assert "none" not in lines
    assert "repeated within train: 2 texts in 5 documents" in lines
    assert "within test" not in lines


def test_unknown_subjects_are_not_reported_as_separate(render: Render) -> None:
    unknown = described(leakage={"train & test": pair(None)})
    text = " ".join(render(corpus_view(unknown)))
    assert "leakage between splits: no text is in two of them; patients can't be checked" in text
    assert "splits: none" not in text
    shared = described(leakage={"train & test": pair(None, 1, 2)})
    text = " ".join(render(corpus_view(shared)))
    assert "warning: leakage" in text
    assert "leakage between splits: patients can't be checked" in text


def test_a_benchmark_as_published(render: Render) -> None:
    lines = render(corpus_view(described()))
    assert ["train", "documents", "47,719", "47,719", "same"] in [line.split() for line in lines]
    assert "the benchmark mimic3-full, as published" in lines
    assert not any("DIFFERS" in line or "not the benchmark" in line for line in lines)


def test_it_says_which_codes_were_chosen(render: Render) -> None:
    words = "the published list; counting rows gives the same codes"
    assert f"codes: {words}" in render(corpus_view(described(choices={"codes": words})))


def test_a_count_that_differs_is_loud(render: Render) -> None:
    other = copy.deepcopy(BENCHMARK) | {
        "is_benchmark": False,
        "reason": "the number of labels differs",
    }
    other["counts"]["labels"]["found"] = 8921
    view = corpus_view(described(benchmark=other))
    lines = render(view)
    assert ["labels", "8,921", "8,929", "DIFFERS"] in [line.split() for line in lines]
    assert "not the benchmark: the number of labels differs" in lines
    terminal = Console(file=StringIO(), width=80, force_terminal=True, color_system="standard")
    with terminal.capture() as capture:
        terminal.print(view)
    assert "\x1b[1;31mDIFFERS" in capture.get()
    assert "\x1b[1;31mnot the benchmark: " in capture.get()


def test_no_benchmark_is_reported_without_counts(render: Render) -> None:
    other = {
        "protocol": "mimic3-full",
        "is_benchmark": False,
        "reason": "NOTEEVENTS has 12 rows",
        "counts": {},
    }
    assert "not the benchmark: NOTEEVENTS has 12 rows" in render(
        corpus_view(described(benchmark=other))
    )


@pytest.mark.parametrize("card", [{}, {"splits": {"train": {}}}, {"labels": {}, "dropped": {}}])
def test_a_card_that_lacks_things(card: dict[str, Any], render: Render) -> None:
    lines = render(corpus_view(card))
    assert lines[0] == "Corpus"
    assert "No lengths and no leakage check: an older icdcode prepared this corpus." in " ".join(
        lines
    )


def test_text_from_data_is_not_markup(render: Render) -> None:
    odd = described(dropped={"[red]rows\x1b[0m": 1}, without_title={"count": 1, "first": ["[b]"]})
    text = "\n".join(render(corpus_view(odd)))
    assert "[red]rows" in text
    assert "([b])" in text
    assert "\x1b" not in text


# The plot


def test_the_plot_is_complete_and_the_same_twice(tmp_path: Path) -> None:
    for name in ("one", "two"):
        corpus_png(described(), tmp_path / "new" / f"{name}.png")
    one, two = (tmp_path / "new" / f"{name}.png" for name in ("one", "two"))
    assert one.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert one.read_bytes() == two.read_bytes()
    assert sorted(path.name for path in one.parent.iterdir()) == ["one.png", "two.png"]


def test_the_plot_has_a_panel_for_each_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[list[str]] = []
    monkeypatch.setattr(
        "icdcli.report.plots.corpus.save_figure",
        lambda figure, _: titles.append([axes.get_title(loc="left") for axes in figure.axes]),
    )
    corpus_png(described(), tmp_path / "a.png")
    tokens = described()["tokens"]["tokens-0123456789abcdef"]
    corpus_png(
        described(tokens={"tokens-a": tokens, "tokens-b": tokens}, chapters=[]), tmp_path / "b.png"
    )
    lengths = ["Words per document", "Codes per document"]
    labels = ["Label frequency", "Labels seen by split"]
    assert titles[0] == [*lengths, "Tokens per document", *labels, "Chapters"]
    assert titles[1] == [
        *lengths,
        "Tokens (tokens-a) per document",
        "Tokens (tokens-b) per document",
        *labels,
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"words": None, "codes": None, "tokens": {}, "chapters": []},
        {
            "label_frequency": {"counts": [0], "mentions": 0, "labels_with": {}, "covering": {}},
            "tokens": {},
        },
        pytest.param(
            {
                "label_frequency": {
                    "counts": [1],
                    "mentions": 1,
                    "covering": {"50": {"labels": 1, "share": 1.0}},
                },
                "tokens": {},
            },
            marks=pytest.mark.slow,
        ),
        {"labels_by_split": {"train": {"seen": 0, "unseen_in_training": 0}}, "tokens": {}},
    ],
)
def test_poor_corpora_are_drawn(changes: dict[str, Any], tmp_path: Path) -> None:
    corpus_png(described(**changes), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.parametrize("long", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_plot_is_legible(
    long: bool, illegible: Callable[[Figure], list[str]], texts: Callable[[Figure], list[str]]
) -> None:
    found = described()
    if long:
        title = "Certain conditions, disorders and abnormal findings of a most long-winded chapter"
        chapters = [chapter | {"title": title} for chapter in found["chapters"]]
        found = described(chapters=chapters)
    figure = corpus_figure(found)
    assert illegible(figure) == []
    shown = texts(figure)
    assert "never in training" in shown
    for id in (chapter["id"] for chapter in found["chapters"] if chapter["id"]):
        assert any(words.endswith(id) for words in shown)  # a range isn't cut off


def test_looking_imports_neither_pyarrow_nor_matplotlib() -> None:
    code = (
        "import sys, icdcli.report.views.corpus, icdcli.report.plots.corpus; "
        "print({'pyarrow', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
