"""``icdcode score``: predictions of any system, and their comparison with a run."""

import json
from pathlib import Path

import pytest

GOLD = "id,codes\na,I10;E11.9\nb,J18.9\nc,I10;N17.9\n"


@pytest.fixture
def files(tmp_path):
    """Return a function that writes a file."""

    def write(name, content):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return path

    return write


@pytest.fixture
def gold(files):
    return files("gold.csv", GOLD)


def test_sets_of_codes(icdcode, files, gold, tmp_path):
    predictions = files("agent.csv", "id,codes,cost\na,i10;R52,0.02\nb,J189,0.01\nx,I10,1\n")
    answer = icdcode("score", predictions, "--gold", gold, "--out", tmp_path / "out", "--json")
    assert answer.code == 0, answer
    found = answer.json
    assert found["metrics"]["precision_micro"] == 2 / 3
    assert found["metrics"]["recall_micro"] == 2 / 5
    assert found["cost"]["total"] == pytest.approx(0.03)  # x isn't in the gold codes
    assert "map" not in found["metrics"] and "map" in found["unavailable"]
    assert found == {
        "folder": str(tmp_path / "out"),
        **json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8")),
    }
    shown = icdcode("score", predictions, "--gold", gold)
    for words in (
        "3 documents, 5 gold or listed codes",
        "3 codes predicted, 2 of 5 gold codes found",
        "the file has sets of codes",
        "note: 1 document of the predictions without gold codes (x): left out.",
        "hierarchical_f1",
        "not computed: ",
    ):
        assert words in shown.out, shown.out
    assert max(map(len, shown.out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("id,code,score\na,I10,90\n", "if these are percentages, divide them by 100"),
        ("id,code,score\na,I10,nan\n", "Every score must be a number in [0, 1]"),
        ("id,code\n", "has a header but no rows"),
        ("", "is empty"),
        ("id,code\nx,I10\ny,J18.9\n", "none of its 2 documents is in"),
        ("id,codes\na,I10\na,E11.9\n", "the id 'a' is there twice"),
        ("name,code\na,I10\n", "Pass --id-column"),
        ("id,answer\na,I10\n", "Pass --codes-column"),
    ],
)
def test_wrong_predictions_are_refused_and_nothing_is_written(
    refused, files, gold, tmp_path, content, says
):
    predictions = files("p.csv", content)
    refused(3, "score", predictions, "--gold", gold, "--out", tmp_path / "out", says=says)
    assert not (tmp_path / "out").exists()


def test_tables_in_an_object_store(icdcode, refused, files, gold, memory):
    rows = {"csv": "id,codes\na,I10\nb,J189\n", "jsonl": '{"id": "a", "codes": ["I10"]}\n'}
    memory.pipe("/bucket/gold.csv", gold.read_bytes())
    for ending, content in (*rows.items(), ("json", '{"a": ["I10"], "b": ["J18.9"]}')):
        memory.pipe(f"/bucket/p.{ending}", content.encode())
        here = files(f"p.{ending}", content)
        urls = (f"memory://bucket/p.{ending}", "--gold", "memory://bucket/gold.csv")
        there = icdcode("score", *urls, "--json")
        assert there.code == 0, there
        assert (
            there.json["metrics"]
            == icdcode("score", here, "--gold", gold, "--json").json["metrics"]
        )
        assert there.json["predictions"] == urls[0]
    missing = "memory://bucket/no.csv"
    refused(3, "score", missing, "--gold", gold, says=f"{missing}: can't be read")
    refused(3, "score", here, "--gold", missing, says=f"{missing}: can't be read")
    refused(3, "score", here, "--gold", "memory://bucket", says="must be on this machine: copy it")
    refused(2, "score", here, "--gold", gold, "--out", "memory://b/o", says="not a URL")


def test_options_that_do_not_fit(refused, files, gold, tmp_path):
    sets = files("p.csv", "id,codes\na,I10\n")
    refused(2, "score", sets, "--gold", gold, "--threshold", "0.5", says="has no scores")
    refused(2, "score", sets, "--gold", gold, "--split", "test", says="is a table of gold codes")
    missing = tmp_path / "none.csv"
    refused(3, "score", sets, "--gold", missing, says="no such file or folder")
    refused(3, "score", missing, "--gold", gold, says="no such file or folder")
    refused(
        *(3, "score", sets, "--gold", gold, "--valid-codes", missing),
        says="--valid-codes",
    )
    refused(2, "score", sets, "--gold", gold, "--code-system", "icd7", says="icd7")


def test_a_run_and_its_predictions_compare_as_equal(icdcode, refused, run_copy, tmp_path):
    evaluated = icdcode("evaluate", run_copy, "--split", "validation", "--json")
    assert evaluated.code == 0, evaluated
    folder = Path(evaluated.json["folder"])
    corpus = corpus_of(run_copy)
    answer = icdcode(
        *("score", folder / "predictions.parquet", "--gold", corpus, "--split", "validation"),
        *("--out", tmp_path / "scored", "--json"),
    )
    assert answer.code == 0, answer
    run, other = evaluated.json["metrics"], answer.json["metrics"]
    for name in ("f1_micro", "f1_macro", "exact_match", "precision_at_8", "f1_micro_edin"):
        assert other[name] == pytest.approx(run[name]), name
    compared = icdcode(
        *("compare", tmp_path / "scored", run_copy, "--split", "validation", "--json")
    )
    assert compared.code == 0, compared
    difference = compared.json["runs"][1]["differences"]["f1_micro"]
    assert (difference["value"], difference["sure"]) == (pytest.approx(0), False)
    refused(
        *(2, "compare", tmp_path / "scored", run_copy, "--split", "test"),
        says="has predictions on the split validation, but --split is test",
    )
    refused(
        *(2, "compare", tmp_path / "scored", run_copy, "--split", "validation", "--html"),
        says="isn't a run. Leave out --html",
    )
    refused(
        *(2, "compare", folder, run_copy, "--split", "validation"),
        says="is the evaluation of a run. Pass the folder of the run instead",
    )


def corpus_of(run):
    from icdcli.config.loading import load_config
    from icdcli.data.corpus.prepare import prepare

    return prepare(load_config(run / "args.yaml").data.accepting()).folder
