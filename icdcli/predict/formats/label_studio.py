"""Codes as pre-annotated tasks of Label Studio, with the texts of the notes.

The labeling configuration needs the names that docs/formats.md shows: the text ``text``, its labels
``evidence``, the choices ``codes`` and, if the model chooses the principal diagnosis, the choices
``principal``.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from icdcli.data.notes.text import Note
from icdcli.predict.batches import CodedNote
from icdcli.predict.formats.blocks import CodedBlock, ModelName, write_lines
from icdcli.predict.writers import note_dict


def annotated_task(note: Note, coded: CodedNote, model: ModelName) -> dict[str, Any]:
    """Return a note as a task with its predicted codes, and each evidence span as a region.

    Args:
        note: The note.
        coded: Its codes; all that is known of them is in the task's data, too.
        model: The model.
    """
    predicted = [code for code in coded.codes if code.predicted]
    results = [
        _result(
            "evidence",
            "labels",
            code.score,
            {
                "start": span.begin,
                "end": span.end,
                "text": note.text[span.begin : span.end],
                "labels": [code.code],
            },
        )
        | ({"meta": {"text": [span.assertion]}} if span.assertion else {})
        for code in predicted
        for span in code.evidence or ()
    ]
    scores = [code.score for code in predicted]
    mean = round(sum(scores) / len(scores), 6) if scores else 0.0
    if predicted:
        codes = {"choices": [code.code for code in predicted]}
        results.insert(0, _result("codes", "choices", mean, codes))
    results += [
        _result("principal", "choices", code.score, {"choices": [code.code]})
        for code in coded.codes
        if code.principal
    ]
    return {
        "data": {"id": note.id, "text": note.text, "icdcode": note_dict(coded, note)},
        "predictions": [{"model_version": str(model), "score": mean, "result": results}],
    }


def _result(name: str, kind: str, score: float, value: dict[str, Any]) -> dict[str, Any]:
    # The same prediction has the same ids whenever it is made.
    what = json.dumps(value, sort_keys=True)
    return {
        "id": hashlib.sha256(f"{name} {what}".encode()).hexdigest()[:10],
        "from_name": name,
        "to_name": "text",
        "type": kind,
        "value": value,
        "score": score,
    }


def write_label_studio(model: ModelName, path: Path, block: CodedBlock) -> None:
    """Write a part: a task per line."""
    write_lines(path, _lines(model, block))


def _lines(model: ModelName, block: CodedBlock) -> Iterator[str]:
    for note, coded in zip(block.notes, block.coded, strict=True):
        task = annotated_task(note, coded, model)
        yield json.dumps(task, ensure_ascii=False, allow_nan=False) + "\n"


def join_label_studio(path: Path, parts: Iterable[Path]) -> None:
    """Join parts to one array of tasks, as Label Studio imports it."""
    _write_array(path, (line.rstrip("\n") for line in _lines_of(parts)))


def gather_label_studio(path: Path, files: Iterable[Path]) -> None:
    """Join arrays of tasks."""
    tasks = (line.rstrip(",\n") for line in _lines_of(files) if line.startswith("{"))
    _write_array(path, tasks)


def _lines_of(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        with path.open("rb") as lines:
            for line in lines:
                yield line.decode()


def _write_array(path: Path, tasks: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        before = "[\n"
        for task in tasks:
            file.write(before + task)
            before = ",\n"
        file.write(f"{'' if before == ',' + chr(10) else '['}\n]\n")
