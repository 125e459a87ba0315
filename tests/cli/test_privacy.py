"""Names planted in every note: no message, log or representation shows them, no file leaks them."""

import json
import logging
import os
import stat

import numpy as np
import pyarrow.parquet as pq
import pytest

import icdcli
from icdcli.data.notes.text import Note
from icdcli.data.sources.admission import Admission
from icdcli.evaluation.sample import SampleDocument
from icdcli.lexical.registry import TrainingDocuments

NAMES = ("zebulonsky", "5550199", "quixotely")
PERSON = "Mr Zebulonsky, phone 5550199, was seen by Dr Quixotely."
WORDINGS = {
    "I10": "hypertension",
    "E11.9": "type 2 diabetes",
    "J45.909": "asthma",
}
CONFIG = """\
model: tiny
bit: 32
device: cpu
lora_activate: False
gradient_checkpointing: False
data_path: {folder}/notes.jsonl
code_system: icd10
project: {folder}/runs
name: tiny
max_len: 64
batch_size: 16
steps: 8
warmup_steps: 2
log_every: 2
lexical: True
evidence_column: evidence
metrics: [f1_micro]
"""


def named(text):
    return [name for name in NAMES if name in text.lower()]


def content(path):
    """Return what a file holds, decompressed."""
    if path.suffix == ".parquet":
        return str(pq.read_table(path).to_pydict())
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            # Without zero bytes, strings of NumPy (UTF-32) can be searched like UTF-8.
            return " ".join(
                arrays[name].tobytes().replace(b"\0", b"").decode("latin1") for name in arrays
            )
    return path.read_bytes().decode("utf-8", "ignore")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with notes in which every sentence names persons, and a configuration."""
    folder = tmp_path_factory.mktemp("private")
    codes = [*WORDINGS]
    with (folder / "notes.jsonl").open("w") as file:
        for number in range(90):
            own = [code for place, code in enumerate(codes) if number >> place & 1] or codes[:1]
            text = ". ".join([PERSON, *(WORDINGS[code] for code in own)])
            evidence = [{"code": own[0], "begin": 3, "end": 13}]
            row = {"id": f"n{number}", "text": text, "codes": own, "evidence": evidence}
            file.write(json.dumps(row) + "\n")
    (folder / "config.yaml").write_text(CONFIG.format(folder=folder))
    (folder / "note.txt").write_text(f"{PERSON} hypertension")
    (folder / "half.jsonl").write_text(json.dumps({"id": "1", "text": f"{PERSON} \ud800"}))
    return folder


@pytest.fixture(scope="module")
def answers(folder, icdcode, without_pictures):
    """Run the commands of a whole project, with a usual umask, and several that are refused."""
    config, runs, note = folder / "config.yaml", folder / "runs", folder / "note.txt"
    data, logged = folder / "notes.jsonl", []

    class Everything(logging.Handler):
        def emit(self, record):
            logged.append(record.getMessage())

    handler = Everything(logging.DEBUG)
    logging.getLogger().addHandler(handler)
    before = os.umask(0o022)
    try:
        wrong = [
            ["prepare-data", data, f"{role}_column=text"]
            for role in ("id", "subject", "split", "codes", "evidence")
        ]
        done = [
            ["prepare-data", data, "code_system=icd10"],
            ["describe", data, "code_system=icd10"],
            ["train", config],
            ["train", config, "model=tfidf", "lexical=False", "name=tfidf"],
            ["resume", runs / "tiny", "steps=10"],
            ["evaluate", runs / "tiny", "--html", "--no-behavior", "--evidence"],
            ["evaluate", runs / "tfidf"],
            ["compare", runs / "tiny", runs / "tfidf"],
            ["show-predictions", runs / "tiny"],
            ["predict", runs / "tiny", note, "--output", folder / "codes.csv", "--evidence"],
            ["predict", runs / "tfidf", note],
            ["export", runs / "tiny", folder / "exported"],
        ]
        refused = [
            *wrong,
            ["predict", runs / "tiny", folder / "half.jsonl"],
            ["predict", runs / "tiny", data, "--id-column", "text"],
        ]
        with without_pictures():
            found = {
                " ".join(map(str, words)): (icdcode(*words), code)
                for code, group in ((0, done), (3, refused))
                for words in group
            }
    finally:
        os.umask(before)
        logging.getLogger().removeHandler(handler)
    return found, logged


def test_no_message_and_no_log_names_anyone(answers):
    found, logged = answers
    for words, (answer, code) in found.items():
        assert answer.code == code, (words, answer)
        assert not named(answer.out + answer.err), words
    assert not named("\n".join(logged))


def test_every_file_with_a_name_is_private(answers, folder):
    given = {folder / "notes.jsonl", folder / "note.txt", folder / "half.jsonl"}
    holding = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path not in given:
            mode = stat.S_IMODE(path.stat().st_mode)
            if named(content(path)):
                assert mode == 0o600, path
                holding[path.name] = stat.S_IMODE(path.parent.stat().st_mode)
    assert {"documents.parquet", "tokenizer.json", "vocabulary.json"} <= holding.keys()
    # The page was requested with --html --evidence.
    assert holding.keys() <= {
        *("documents.parquet", "tokenizer.json", "vocabulary.json"),
        *("lexical.json", "evidence.npz", "ngrams.npz", "descriptions.npz", "report.html"),
    }
    checkpoint = (folder / "runs" / "tiny" / "weights" / "last").resolve()
    assert stat.S_IMODE(checkpoint.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in checkpoint.rglob("*") if p.is_file()} == {0o600}


def test_no_representation_shows_a_text(answers, folder):
    config = icdcli.load_config(folder / "config.yaml")
    corpus = icdcli.open_corpus(icdcli.prepare(config.data).folder)
    shown = [
        config,
        corpus,
        corpus.documents("test"),
        Note("1", PERSON),
        Admission("1", None, PERSON),
        SampleDocument(None, PERSON, {}),
        TrainingDocuments([PERSON], [], []),
    ]
    for name in ("tiny", "tfidf"):
        model = icdcli.load_model(folder / "runs" / name)
        shown += [model, *model.predict([PERSON])]
    for thing in shown:
        assert not named(repr(thing)), type(thing)
