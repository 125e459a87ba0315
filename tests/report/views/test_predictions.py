from collections.abc import Callable

from icdcli.evaluation.sample import SamplePrediction
from icdcli.predict.batches import CodedNote, NoteCode, Selection
from icdcli.report.views.predictions import coded_view, prediction_dict, prediction_view

Render = Callable[..., list[str]]

SAMPLE = SamplePrediction(
    id="17",
    gold=("401.9", "584.9", "V45.81"),
    predicted=("428.0", "401.9"),
    scores={"401.9": 0.93, "428.0": 0.98, "584.9": 0.02},
)
TITLES = {"401.9": "Hypertension [bold]essential[/bold]", "428.0": "Congestive heart failure " * 8}


def test_signs_and_words_distinguish_the_outcomes(render: Render) -> None:
    lines = render(prediction_view(SAMPLE, TITLES))
    assert lines[0] == "Document 17: 1 right, 2 missed, 1 extra"
    assert [line.split()[:3] for line in lines[2:6]] == [
        ["=", "right", "401.9"],
        ["-", "missed", "584.9"],
        ["-", "missed", "V45.81"],
        ["+", "extra", "428.0"],
    ]
    assert lines[2].split()[2:] == [
        "401.9",
        "401.9",
        "Hypertension",
        "[bold]essential[/bold]",
        "0.930",
    ]
    # Gold codes are below "gold", predicted ones below "predicted".
    gold, predicted = lines[1].index("gold"), lines[1].index("predicted")
    assert lines[3].index("584.9") == gold
    assert lines[5].index("428.0") == predicted


def test_long_titles_are_shortened_to_the_width(render: Render) -> None:
    for width in (60, 80, 100):
        lines = render(prediction_view(SAMPLE, TITLES), width)
        assert max(map(len, lines)) <= width
        assert "…" in lines[5]
        assert lines[5].endswith("0.980")


def test_text_only_when_given(render: Render) -> None:
    assert "chest pain" not in " ".join(render(prediction_view(SAMPLE, TITLES)))
    assert "denies [chest] pain" in render(prediction_view(SAMPLE, TITLES, "denies [chest] pain"))
    assert "text" not in prediction_dict(SAMPLE, TITLES)
    assert prediction_dict(SAMPLE, TITLES, "denies")["text"] == "denies"


def test_no_codes_at_all(render: Render) -> None:
    lines = render(prediction_view(SamplePrediction("1", (), (), {}), {}))
    assert lines[:2] == [
        "Document 1: 0 right, 0 missed, 0 extra",
        "no gold codes and no predicted codes",
    ]


def test_plain_values() -> None:
    assert prediction_dict(SAMPLE, {"401.9": "Hypertension"}) == {
        "id": "17",
        "codes": [
            {
                "code": "401.9",
                "title": "Hypertension",
                "score": 0.93,
                "gold": True,
                "predicted": True,
                "outcome": "right",
            },
            {
                "code": "584.9",
                "title": None,
                "score": 0.02,
                "gold": True,
                "predicted": False,
                "outcome": "missed",
            },
            {
                "code": "V45.81",
                "title": None,
                "score": None,
                "gold": True,
                "predicted": False,
                "outcome": "missed",
            },
            {
                "code": "428.0",
                "title": None,
                "score": 0.98,
                "gold": False,
                "predicted": True,
                "outcome": "extra",
            },
        ],
    }


CODED = CodedNote(
    "ward [3]/7.txt",
    windows=3,
    codes=(
        NoteCode("428.0", "Congestive heart failure " * 8, 0.98, 0.5, True),
        NoteCode("401.9", None, 0.4, 0.25, True),
        NoteCode("V45.81", "Bypass", 0.3, 0.5, False),
    ),
)


def test_codes_of_a_note(render: Render) -> None:
    lines = render(coded_view(CODED, Selection(), one_threshold=True))
    assert lines[0] == "Note ward [3]/7.txt: 3 codes, read in 3 windows"
    assert lines[1].split() == ["code", "title", "score"]
    assert lines[3].split() == ["401.9", "0.400"]
    assert lines[4].split() == [
        "V45.81",
        "Bypass",
        "0.300",
    ]


def test_predicted_codes_are_marked_if_others_are_shown(render: Render) -> None:
    lines = render(coded_view(CODED, Selection(top=3), one_threshold=False))
    assert lines[0] == "Note ward [3]/7.txt: 3 codes, 2 predicted, read in 3 windows"
    assert [line[0] for line in lines[2:5]] == ["*", "*", " "]
    assert [line.split()[-1] for line in lines[1:5]] == ["threshold", "0.500", "0.250", "0.500"]


def test_codes_fit_the_width(render: Render) -> None:
    for width in (60, 80, 100):
        lines = render(coded_view(CODED, Selection(top=3), one_threshold=False), width)
        assert max(map(len, lines)) <= width
        assert lines[2].startswith("*  428.0")
        assert "…" in lines[2]


def test_a_note_without_codes_or_text(render: Render) -> None:
    assert render(coded_view(CodedNote("1", 1, ()), Selection(), one_threshold=True)) == [
        "Note 1: 0 codes",
        "",
    ]
    assert render(coded_view(CodedNote("1", 0, ()), Selection(top=1), one_threshold=True)) == [
        "Note 1: no text",
        "",
    ]
