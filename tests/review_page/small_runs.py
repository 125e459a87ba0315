"""A checkpoint that finds codes, and files of notes, for the tests of `icdcode serve`."""

import json
from dataclasses import replace
from pathlib import Path

from icdcli.data.corpus.reader import Labels
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.records import edition_record
from icdcli.io.manifest import write_manifest
from icdcli.lexical.tfidf import Tfidf
from icdcli.model.ensemble.ensemble_model import EnsembleModel
from icdcli.model.ensemble.member import Member, neutral_logits
from icdcli.model.ensemble.references import MemberReference
from icdcli.model.fusion import Fusion
from icdcli.model.section import ModelConfig
from icdcli.model.tfidf_model import TfidfModel
from icdcli.model.threshold import Threshold

WORDS = ("hypertension", "diabetes", "pneumonia")
CODES = ("I10", "E11.9", "J18.9")


def small_run(folder: Path, codes: tuple[str, ...] = CODES, more: str = "") -> Path:
    """Make a checkpoint that finds the codes of three words, fitted to notes with more words."""
    texts = [f"{one} {other}" for one in WORDS for other in WORDS if one != other]
    targets = [[WORDS.index(one) for one in text.split()] for text in texts]
    texts = [f"{text} {more}" for text in texts]
    labels = Labels(codes, ("diagnosis",) * 3, codes, (4,) * 3, (4,) * 3)
    edition = edition_record(find_edition("icd10cm"))
    labels = replace(labels, editions={"diagnosis": edition})
    tfidf = Tfidf.fit(texts, targets, 3)
    folder.mkdir()
    TfidfModel(tfidf, labels, ModelConfig(model="tfidf"), Threshold(0.4)).save(folder)
    write_manifest(folder, {"step": 1})
    return folder


def small_ensemble(folder: Path) -> Path:
    """Make the checkpoint of an ensemble of two small runs that differ a little."""
    folder.mkdir()
    places = {name: small_run(folder / name, more=more) for name, more in (("a", ""), ("b", "is"))}
    models = {name: TfidfModel.load(place) for name, place in places.items()}
    labels = models["a"].labels
    neutral_L = neutral_logits(labels, documents=6)
    ensemble = EnsembleModel(
        [Member(name, model, labels, neutral_L) for name, model in models.items()],
        labels,
        ModelConfig(model="ensemble", bit=32, lora_activate=False),
        Threshold(0.4),
        Fusion({"a": 0.5, "b": 0.75}, 0.0, "nothing"),
        documents=6,
        references=[MemberReference.of(name, place) for name, place in places.items()],
    )
    checkpoint = folder / "both"
    checkpoint.mkdir()
    ensemble.save(checkpoint)
    write_manifest(checkpoint, {"step": 1})
    return checkpoint


def notes(folder: Path, **texts: str) -> Path:
    path = folder / "notes.jsonl"
    path.write_text(
        "".join(json.dumps({"id": id, "text": text}) + "\n" for id, text in texts.items()),
        encoding="utf-8",
    )
    return path
