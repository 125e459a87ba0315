"""A checkpoint that finds codes, and files of notes, for the tests of `icdcode serve`."""

import json
from dataclasses import replace
from pathlib import Path

from icdcli.data.corpus.reader import Labels
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.records import edition_record
from icdcli.io.manifest import write_manifest
from icdcli.lexical.tfidf import Tfidf
from icdcli.model.section import ModelConfig
from icdcli.model.tfidf_model import TfidfModel
from icdcli.model.threshold import Threshold

WORDS = ("hypertension", "diabetes", "pneumonia")
CODES = ("I10", "E11.9", "J18.9")


def small_run(folder: Path, codes: tuple[str, ...] = CODES) -> Path:
    """Make a checkpoint that finds the codes of three words."""
    texts = [f"{one} {other}" for one in WORDS for other in WORDS if one != other]
    targets = [[WORDS.index(one) for one in text.split()] for text in texts]
    labels = Labels(codes, ("diagnosis",) * 3, codes, (4,) * 3, (4,) * 3)
    edition = edition_record(find_edition("icd10cm"))
    labels = replace(labels, editions={"diagnosis": edition})
    tfidf = Tfidf.fit(texts, targets, 3)
    folder.mkdir()
    TfidfModel(tfidf, labels, ModelConfig(model="tfidf"), Threshold(0.4)).save(folder)
    write_manifest(folder, {"step": 1})
    return folder


def notes(folder: Path, **texts: str) -> Path:
    path = folder / "notes.jsonl"
    path.write_text(
        "".join(json.dumps({"id": id, "text": text}) + "\n" for id, text in texts.items()),
        encoding="utf-8",
    )
    return path
