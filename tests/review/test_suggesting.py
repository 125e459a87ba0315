"""A model codes the notes of a store once, oldest first; a killed call goes on where it was."""

import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import func, select

from icdcli.data.notes.text import Note
from icdcli.errors import DataError
from icdcli.io.manifest import checkpoint_identity
from icdcli.metrics.confidence import Confidence
from icdcli.model.checkpoint import LoadedCheckpoint, load_checkpoint
from icdcli.predict.batches import CodedNote, NoteCode, NotePredictor, Selection
from icdcli.review import suggesting
from icdcli.review.notes import ReviewNote, import_notes
from icdcli.review.purging import purge_texts
from icdcli.review.schema import SuggestionSetRow
from icdcli.review.store import Store, open_store
from icdcli.review.suggesting import (
    SuggestingProgress,
    checkpoint_sha256,
    confidence_of,
    suggest,
    suggesting_model,
    suggesting_progress,
    suggestions_of_coded,
)
from icdcli.review.suggestions import suggestions_of

TEXTS = ["hypertension, stable", "pneumonia, infiltrate", "", "patient seen"]


@pytest.fixture
def loaded(tfidf_checkpoint: Path) -> LoadedCheckpoint:
    return load_checkpoint(tfidf_checkpoint)


@pytest.fixture
def filled(tmp_path: Path) -> Store:
    with open_store(tmp_path / "review.db") as store:
        import_notes(store, [ReviewNote(f"n{n}", text) for n, text in enumerate(TEXTS)])
        yield store


def ignored(_message: str) -> None:
    pass


def test_the_model_is_recorded_by_its_manifest(
    tfidf_checkpoint: Path, loaded: LoadedCheckpoint
) -> None:
    model = suggesting_model(loaded)
    assert model.sha256 == checkpoint_sha256(tfidf_checkpoint)
    assert model.name.endswith("/notes")
    assert model.name.count("/") == 1
    assert model.codes == ("I10", "J18.9", "R05")
    assert model.validation == {"precision_micro": 0.75, "validation_loss": 0.25}


def test_suggestions_are_the_codes_of_predict_with_their_evidence(
    filled: Store, loaded: LoadedCheckpoint
) -> None:
    warnings: list[str] = []
    done = suggest(filled, loaded, on_warning=warnings.append)
    assert done == SuggestingProgress(4, 4)
    assert len(warnings) == 1
    assert "no calibrated confidence" in warnings[0]
    first = suggestions_of(filled, "n0")
    assert {one.code for one in first.suggestions} == {"I10", "J18.9", "R05"}
    (coded,) = NotePredictor(loaded.model, Selection(top=3)).predict([Note("n0", TEXTS[0])])
    for suggestion, code in zip(first.suggestions, coded.codes, strict=True):
        assert suggestion.score == code.score == suggestion.confidence
        assert suggestion.is_predicted == code.predicted
    spans = first.suggestions[0].evidence
    assert "hypertension" in {TEXTS[0][span.begin : span.end] for span in spans}
    assert suggestions_of(filled, "n2").suggestions == ()


def test_only_predicted_codes_are_suggested_beyond_the_highest(
    filled: Store, loaded: LoadedCheckpoint
) -> None:
    few = Selection(top=1, also_predicted=True)
    suggest(filled, loaded, selection=few, evidence=False, on_warning=ignored)
    for id in ("n0", "n1", "n3"):
        found = suggestions_of(filled, id).suggestions
        (coded,) = NotePredictor(loaded.model, Selection(top=3)).predict(
            [Note(id, TEXTS[int(id[1])])]
        )
        expected = [one.code for place, one in enumerate(coded.codes) if one.predicted or not place]
        assert [one.code for one in found] == expected
        assert all(one.evidence == () for one in found)


def test_a_killed_call_leaves_whole_blocks_and_the_next_goes_on(
    filled: Store, loaded: LoadedCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggesting, "BLOCK", 2)
    predict = NotePredictor(loaded.model, Selection(top=2)).predict
    seen: list[list[str]] = []

    def killed_at(number: int) -> Callable[[Sequence[Note]], list[CodedNote]]:
        def block(notes: Sequence[Note]) -> list[CodedNote]:
            seen.append([note.id for note in notes])
            if len(seen) == number:
                raise KeyboardInterrupt
            return predict(notes)

        return block

    with pytest.raises(KeyboardInterrupt):
        suggest(filled, loaded, predict=killed_at(2), on_warning=ignored)
    assert suggesting_progress(filled, checkpoint_sha256(loaded.folder)).done == 2
    shown: list[tuple[int, int]] = []
    suggest(
        filled,
        loaded,
        predict=killed_at(0),
        on_warning=ignored,
        on_progress=lambda _stage, done, total, *_: shown.append((done, total)),
    )
    assert seen == [["n0", "n1"], ["n2", "n3"], ["n2", "n3"]]
    assert shown == [(4, 4)]
    suggest(filled, loaded, predict=killed_at(0), on_warning=ignored)
    assert len(seen) == 3  # nothing is left to do


def test_it_stops_when_asked_and_can_be_for_some_notes(
    filled: Store, loaded: LoadedCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggesting, "BLOCK", 1)
    some = suggest(filled, loaded, ids=["n3", "n1"], evidence=False, on_warning=ignored)
    assert some == SuggestingProgress(2, 4)
    assert suggestions_of(filled, "n0") is None
    answers = iter([False, True])
    stopped = suggest(filled, loaded, stop=lambda: next(answers), on_warning=ignored)
    assert stopped == SuggestingProgress(3, 4)
    assert suggestions_of(filled, "n2") is None
    with pytest.raises(DataError, match="has no note 'other'"):
        suggest(filled, loaded, ids=["other"], on_warning=ignored)


def test_purged_notes_are_left_out(filled: Store, loaded: LoadedCheckpoint) -> None:
    purge_texts(filled, ["n1"])
    assert suggest(filled, loaded, on_warning=ignored) == SuggestingProgress(3, 3)
    assert suggestions_of(filled, "n1") is None


def test_a_rounded_score_is_predicted_as_the_model_says() -> None:
    def code(predicted: bool, score: float) -> NoteCode:
        return NoteCode("I10", None, score, 0.5, predicted)

    for predicted, score in ((False, 0.5), (True, 0.5), (True, 0.499999), (False, 0.25)):
        (found,) = suggestions_of_coded(CodedNote("1", 1, (code(predicted, score),)), Confidence())
        assert found.is_predicted == predicted
        assert found.threshold == pytest.approx(0.5, abs=2e-6)


def test_the_confidence_is_fitted_to_the_validation_predictions_of_the_run(
    tfidf_checkpoint: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tfidf_checkpoint.parents[1], run)
    loaded = load_checkpoint(run)
    folder = run / "evaluation" / "validation"
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    scores = draw.random(4000)
    gold = draw.random(4000) < scores / 2
    table = {
        "id": [f"d{n // 20}" for n in range(4000)],
        "score": scores.astype(np.float32),
        "predicted": scores >= 0.4,
        "gold": gold,
    }
    pq.write_table(pa.table(table), folder / "predictions.parquet")
    metrics = {**checkpoint_identity(loaded.manifest), "metrics": {"precision_micro": 0.5}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    confidence = confidence_of(loaded, pytest.fail)
    assert confidence.of([0.8]) == pytest.approx([0.4], abs=0.06)
    assert suggesting_model(loaded).validation["precision_micro"] == 0.5
    metrics["step"] = 2  # another checkpoint of the run
    (folder / "metrics.json").write_text(json.dumps(metrics))
    warnings: list[str] = []
    assert confidence_of(loaded, warnings.append) == Confidence()
    assert "--split validation" in warnings[0]
    assert suggesting_model(loaded).validation["precision_micro"] == 0.75


def test_a_copied_checkpoint_keeps_the_confidence_of_its_training(
    tfidf_checkpoint: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tfidf_checkpoint, copy)
    fitted = Confidence("platt", ((-13.8, -6.9), (13.8, 6.9)), "validation", 0.1, 0.2)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest |= {"confidence": fitted.to_json(), "at_threshold": {"recall_micro": 0.5}}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    loaded = load_checkpoint(copy)
    assert confidence_of(loaded, pytest.fail) == fitted
    assert suggesting_model(loaded).validation == {
        **{"precision_micro": 0.75, "recall_micro": 0.5, "validation_loss": 0.25}
    }
    manifest["confidence"] = None  # too few gold codes
    (copy / "manifest.json").write_text(json.dumps(manifest))
    warnings: list[str] = []
    assert confidence_of(load_checkpoint(copy), warnings.append) == Confidence()
    assert len(warnings) == 1


def test_two_processes_that_suggest_at_the_same_time_do_not_disturb_each_other(
    target: str, loaded: LoadedCheckpoint
) -> None:
    predict, together = NotePredictor(loaded.model, Selection(top=2)).predict, Barrier(2)

    def block(notes: Sequence[Note]) -> list[CodedNote]:
        coded = predict(notes)
        together.wait(20)
        return coded

    def work() -> SuggestingProgress:
        together.wait(20)
        with open_store(target) as own:
            return suggest(own, loaded, predict=block, on_warning=ignored)

    with open_store(target) as store, ThreadPoolExecutor(2) as pool:
        import_notes(store, [ReviewNote(f"n{n}", f"hypertension {n}") for n in range(30)])
        done = [one.result() for one in [pool.submit(work) for _ in range(2)]]
        assert done == [SuggestingProgress(30, 30)] * 2
        with store.reading() as connection:
            assert connection.scalar(select(func.count()).select_from(SuggestionSetRow)) == 30
