import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from icdcli.data.notes.text import Note
from icdcli.errors import ResumeError
from icdcli.explain.evidence import evidence_finder
from icdcli.io.manifest import write_manifest
from icdcli.model.checkpoint import load_model
from icdcli.model.ensemble.ensemble_model import EnsembleModel
from icdcli.model.ensemble.loading import Loading, load_members
from icdcli.model.ensemble.member import LogitCalibration, Member, neutral_logits
from icdcli.model.ensemble.references import MemberReference
from icdcli.model.fusion import Fusion
from icdcli.model.section import ModelConfig
from icdcli.predict.batches import NotePredictor, Selection

NOTES = [
    "htn and dm2, patient seen. stable",
    "",
    "lobar infiltrate. pna. " * 20,
    "renal failure, aki, high blood pressure",
]
TEXTS = [text for text in NOTES if text]


def ensemble_of(
    folders: dict[str, Path], names: list[str], weights: list[float] | None = None, bias: float = 0
) -> EnsembleModel:
    """Return an ensemble of uncalibrated members, with equal weights unless others are given."""
    references = [MemberReference.of(name, folders[name]) for name in names]
    loading = Loading(torch.device("cpu"))
    models = load_members(references, loading)
    labels = models[0].labels
    neutral_L = neutral_logits(labels, 96)
    given = weights or [1 / len(names)] * len(names)
    return EnsembleModel(
        [Member(name, model, labels, neutral_L) for name, model in zip(names, models, strict=True)],
        labels,
        ModelConfig(model="ensemble"),
        models[0].threshold,
        Fusion(dict(zip(names, given, strict=True)), bias, "validation"),
        96,
        references=references,
        kept=loading.kept,
    )


def saved(ensemble: EnsembleModel, folder: Path) -> Path:
    folder.mkdir(parents=True)
    ensemble.save(folder)
    write_manifest(folder, {"step": 1})
    return folder


def logit(scores: np.ndarray) -> np.ndarray:
    return np.log(scores / (1 - scores))


@pytest.mark.parametrize("name", ["attention", "lexical", "tfidf"])
def test_one_member_with_weight_one_is_the_run_to_the_last_bit(checkpoints, name):
    alone, ensemble = load_model(checkpoints[name]), ensemble_of(checkpoints, [name])
    assert ensemble.scores(NOTES).tobytes() == alone.scores(NOTES).tobytes()
    assert ensemble.predict(NOTES) == alone.predict(NOTES)
    chosen, notes = Selection(top=3), [Note(str(n), text) for n, text in enumerate(NOTES)]
    predicted = [
        NotePredictor(model, chosen, evidence_finder(model)).predict(notes)
        for model in (ensemble, alone)
    ]
    assert predicted[0] == predicted[1]
    assert any(code.evidence for note in predicted[0] for code in note.codes)


def test_the_score_is_the_weighted_mean_of_calibrated_logits(checkpoints):
    ensemble = ensemble_of(checkpoints, ["mean", "tfidf"], [0.25, 0.75], bias=-0.5)
    steeper = Member(
        *("mean", ensemble.members[0].model, ensemble.labels, ensemble.members[0].neutral_L),
        LogitCalibration(2.0, 0.125),
    )
    ensemble.members = [steeper, ensemble.members[1]]
    mean, tfidf = (
        next(load_model(checkpoints[name]).score_batches([TEXTS], as_logits=True)).scores_NL
        for name in ("mean", "tfidf")
    )
    found = next(ensemble.score_batches([TEXTS], as_logits=True)).scores_NL
    assert np.allclose(found, 0.25 * (2 * mean + 0.125) + 0.75 * tfidf - 0.5, atol=1e-5)
    assert np.allclose(1 / (1 + np.exp(-found)), ensemble.scores(TEXTS), atol=1e-6)
    assert not ensemble.scores(NOTES)[1].any()  # a note without text
    assert ensemble.score_notes(NOTES).window_counts == [1, 0, 1, 1]


def test_a_note_does_not_depend_on_its_neighbors(checkpoints):
    ensemble = ensemble_of(checkpoints, ["attention", "mean", "lexical", "tfidf"])
    together = ensemble.scores(NOTES)
    for row, text in enumerate(NOTES):
        assert ensemble.scores([text])[0].tobytes() == together[row].tobytes()


def test_members_share_a_backbone_and_read_a_note_once(checkpoints):
    ensemble = ensemble_of(checkpoints, ["attention", "tfidf", "mean", "lexical"])
    networks = [member.model.network for member in ensemble.members if member.name != "tfidf"]
    assert networks[0].backbone is networks[1].backbone is not networks[2].backbone
    (kept,) = ensemble.kept
    ensemble.scores(NOTES)
    assert kept.passes == 3  # one per note with text, for both
    second = ensemble_of(checkpoints, ["attention", "mean"], [0.0, 1.0])
    assert second.scores(NOTES).tobytes() == load_model(checkpoints["mean"]).scores(NOTES).tobytes()
    assert not ensemble_of(checkpoints, ["mean"]).kept


def test_a_saved_ensemble_is_loaded_unchanged_and_moves_with_its_members(checkpoints, tmp_path):
    copies = {
        name: Path(shutil.copytree(checkpoints[name], tmp_path / "one" / name))
        for name in ("mean", "tfidf")
    }
    ensemble = ensemble_of(copies, ["mean", "tfidf"], [0.5, 0.75], bias=0.25)
    folder = saved(ensemble, tmp_path / "one" / "ensemble")
    found = load_model(folder)
    assert isinstance(found, EnsembleModel)
    for name in ("labels", "config", "threshold", "fusion", "text_cleaning", "documents"):
        assert getattr(found, name) == getattr(ensemble, name)
    before = ensemble.scores(NOTES).tobytes()
    assert found.scores(NOTES).tobytes() == before
    (tmp_path / "one").rename(tmp_path / "other")
    assert load_model(tmp_path / "other" / "ensemble").scores(NOTES).tobytes() == before


def test_missing_and_changed_members_are_refused(checkpoints, tmp_path):
    copies = {
        name: Path(shutil.copytree(checkpoints[name], tmp_path / name))
        for name in ("mean", "tfidf")
    }
    folder = saved(ensemble_of(copies, ["mean", "tfidf"]), tmp_path / "ensemble")
    manifest = copies["tfidf"] / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"step"', '"stop"'))
    with pytest.raises(ResumeError, match=r"member 'tfidf' was changed.*make the ensemble again"):
        load_model(folder)
    shutil.rmtree(copies["tfidf"])
    with pytest.raises(ResumeError, match=r"'tfidf' isn't there: .*tfidf\. Put the run back"):
        load_model(folder)


def test_a_changed_file_of_a_member_is_found(checkpoints, tmp_path):
    copy = Path(shutil.copytree(checkpoints["tfidf"], tmp_path / "tfidf"))
    names = {"mean": checkpoints["mean"], "tfidf": copy}
    folder = saved(ensemble_of(names, ["mean", "tfidf"]), tmp_path / "ensemble")
    (copy / "vocabulary.json").write_text("[]")
    with pytest.raises(ResumeError, match=r"vocabulary\.json: was changed"):
        load_model(folder)


def test_an_ensemble_is_no_member(checkpoints, tmp_path):
    inner = saved(ensemble_of(checkpoints, ["mean", "tfidf"]), tmp_path / "inner")
    with pytest.raises(ResumeError, match="is an ensemble, which can't be a member"):
        load_members([MemberReference.of("inner", inner)], Loading(torch.device("cpu")))


def test_a_code_that_a_member_lacks_gets_its_frequency(checkpoints):
    ensemble = ensemble_of(checkpoints, ["tfidf"])
    labels = ensemble.labels
    model = ensemble.members[0].model
    more = type(labels)(
        ("A00", *labels.codes), ("diagnosis", *labels.kinds), (None, *labels.titles),
        (3, *labels.counts), (2, *labels.train_counts), labels.editions,
    )  # fmt: skip
    member = Member("tfidf", model, more, neutral_logits(more, 96))
    own = logit(model.scores(NOTES[:1])).astype(np.float32)
    placed = member.calibrated(own.copy())
    assert np.array_equal(placed[:, 1:], own)
    assert placed[0, 0] == pytest.approx(np.log(2.5 / 94.5))
    assert member.lacks == 1
    assert member.own(np.array([0, 1, 4])).tolist() == [-1, 0, 3]
