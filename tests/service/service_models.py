"""Small trained models of several kinds, and notes for them."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from icdcli.data.corpus.reader import Labels
from icdcli.data.notes.text import Note
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.records import edition_record
from icdcli.lexical.lexical_model import LexicalModel
from icdcli.lexical.reading import NoteReading
from icdcli.lexical.tfidf import Tfidf
from icdcli.lexical.views import Views
from icdcli.model.coding_model import CodingModel
from icdcli.model.fusion import Fusion
from icdcli.model.new_model import new_model, tokenizer_for
from icdcli.model.section import ModelConfig
from icdcli.model.tfidf_model import TfidfModel
from icdcli.model.threshold import Threshold

CODES = ("I10", "E11.9", "J18.9", "N17.9", "I50.9", "R07.9")
TITLES = ("Hypertension", "Diabetes", "Pneumonia", "Kidney failure", "Heart failure", "Chest pain")
COUNTS = (9,) * 6
LABELS = Labels(CODES, ("diagnosis",) * 6, TITLES, COUNTS, COUNTS)
WORDS = (
    "chest pain denies fever heart failure acute on chronic kidney disease diabetes mellitus type "
    "two hypertension pneumonia edema stable patient seen plan discussed mother had no cough"
).split()
KINDS = ("llama", "bert", "tfidf")


def made_up_text(seed: int, words: int) -> str:
    draw = random.Random(seed)
    return " ".join(draw.choice(WORDS) + draw.choice(("", "", "", ",", ".")) for _ in range(words))


def made_up_notes(count: int, longest: int = 160, seed: int = 0) -> list[Note]:
    """Return notes of many lengths; some are longer than what the models read at once."""
    draw = random.Random(seed)
    return [
        Note(f"note {number}", made_up_text(1000 * seed + number, draw.randint(1, longest)))
        for number in range(count)
    ]


def _training() -> tuple[list[str], list[np.ndarray]]:
    texts = [made_up_text(number, 12) for number in range(60)]
    signs = ("hypertension", "diabetes", "pneumonia", "kidney", "heart", "chest")
    targets = [
        np.array([label for label, sign in enumerate(signs) if sign in text], np.int32)
        for text in texts
    ]
    return texts, targets


def small_model(kind: str, models: dict[str, Path]) -> CodingModel:
    """Return a model of a kind, one of `KINDS`; that of ``tfidf`` doesn't know its editions."""
    texts, targets = _training()
    threshold = Threshold(0.4)
    if kind == "tfidf":
        config = ModelConfig(model="tfidf")
        return TfidfModel(Tfidf.fit(texts, targets, len(LABELS)), LABELS, config, threshold)
    torch.manual_seed(0)
    config = ModelConfig(
        model=str(models[kind]),
        bit=32,
        max_len=64,
        lora_r=4,
        long_notes="windows",
        pooling_mode="label_attention" if kind == "llama" else "mean",
    )
    edition = edition_record(find_edition("icd10cm-2026-04"))
    labels = replace(LABELS, editions={"diagnosis": edition})
    model = new_model(config, tokenizer_for(config, []), labels, threshold, torch.device("cpu"), 0)
    if kind == "llama":
        reading = NoteReading(Views.of("facts", "en"))
        parts = {"parts": ["ngrams", "descriptions"], "reading": reading}
        descriptions = [(title,) for title in TITLES]
        model.lexical = LexicalModel.fit(texts, targets, descriptions, **parts)
        model.reading = reading
        weights = dict.fromkeys(model.lexical.parts, 4.0) | {"network": 1.0}
        model.fusion = Fusion(weights, -2.0, "validation")
    return model
