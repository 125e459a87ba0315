"""Label Studio's protocol for ML backends: its tasks in, its predictions out.

After the documentation of the protocol and what Label Studio's open server sends: ``/setup`` with
the labeling configuration, ``/predict`` with tasks and the configuration, ``/health``, and
``/webhook`` or ``/train`` when somebody presses the button. Positions in texts are characters
(code points), as in Label Studio since version 1.5.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from fastapi import APIRouter

from icdcli.data.notes.text import Note, checked
from icdcli.errors import DataError
from icdcli.explain.spans import EvidenceSpan
from icdcli.predict.batches import CodedNote, NoteCode
from icdcli.service.routing import ServiceRoute

_TEXT_TAGS = ("text", "hypertext")
_PRINCIPAL = "principal"
_AFFIRMED = (None, "affirmed", "historical")
_WHERE = "the labeling configuration"
_NOT_TRAINED = (
    "icdcode doesn't train from Label Studio. Export the annotations as a table, and train with "
    "icdcode prepare-data and icdcode train."
)

CodeNotes = Callable[[Sequence[Note]], Awaitable[Sequence[CodedNote]]]
"""Predicts the codes of notes, with evidence."""


@dataclass(frozen=True)
class LabelingControl:
    """A control tag of a labeling configuration: where labels of a text go.

    Attributes:
        kind: ``choices``, ``taxonomy`` or ``labels``, as results name their type.
        name: Its name.
        text: The name of the tag of the text.
        field: The field of a task that has the text.
        values: Code to what stands for it in results, a path of a taxonomy for example; None: all
            codes are allowed, since tasks bring the labels.
    """

    kind: str
    name: str
    text: str
    field: str
    values: Mapping[str, Any] | None


def labeling_controls(config: str) -> list[LabelingControl]:
    """Return the tags of a labeling configuration that can show codes.

    Args:
        config: The configuration, as XML.

    Raises:
        DataError: If it isn't XML, or has no text with ``Choices``, ``Taxonomy`` or ``Labels``.
    """
    if "<!DOCTYPE" in config:
        raise DataError(f"{_WHERE} has a DOCTYPE. Remove it.")
    try:
        root = ElementTree.fromstring(config)
    except ElementTree.ParseError as error:
        raise DataError(f"{_WHERE} isn't XML (line {error.position[0]}).") from None
    fields = {
        tag.get("name", ""): tag.get("value", "").removeprefix("$")
        for tag in root.iter()
        if tag.tag.lower() in _TEXT_TAGS and tag.get("valueType") != "url"
    }
    controls = [
        LabelingControl(kind, tag.get("name", ""), text, fields[text], _values(tag, kind))
        for tag in root.iter()
        if (kind := tag.tag.lower()) in ("choices", "taxonomy", "labels")
        and (text := tag.get("toName", "")) in fields
        and tag.get("perRegion") != "true"
    ]
    if not controls:
        raise DataError(
            f"{_WHERE} needs a <Text> and, with its name as toName, <Choices>, <Taxonomy> or "
            "<Labels>."
        )
    return controls


def _values(tag: ElementTree.Element, kind: str) -> dict[str, Any] | None:
    """Return code to value of a control tag: by its alias, its value or the beginning of that."""
    found: dict[str, Any] = {}

    def walk(element: ElementTree.Element, path: list[str]) -> None:
        for child in element:
            value = child.get("value", "")
            shown = child.get("alias") or value
            step = [*path, shown]
            for name in (shown, value, value.partition(" ")[0].rstrip(":")):
                if name:
                    found.setdefault(name, step if kind == "taxonomy" else shown)
            walk(child, step)

    walk(tag, [])
    return found or None


def task_results(
    controls: Sequence[LabelingControl], coded: CodedNote, text: str
) -> list[dict[str, Any]]:
    """Return the results of one task: its predicted codes, and the words behind them as regions.

    Words that the note denies, or says of relatives, aren't regions. A control tag that is named
    ``principal`` gets the principal diagnosis, if the model chooses one, and no other code.

    Args:
        controls: The control tags of the labeling configuration, for this text.
        coded: The note with its codes.
        text: The text of the note.
    """
    predicted = [code for code in coded.codes if code.predicted]
    principal = [code for code in coded.codes if code.principal]
    results: list[dict[str, Any]] = []
    for control in controls:
        codes = principal if control.name == _PRINCIPAL else predicted
        known = [(code, value) for code in codes for value in _value(control, code)]
        if control.kind == "labels":
            results += [
                _result(control, code.score, _region(span, text, value), f"{code.code} {span}")
                for code, value in known
                for span in code.evidence or ()
                if span.assertion in _AFFIRMED
            ]
        elif known:
            score = round(sum(code.score for code, _ in known) / len(known), 6)
            values = [value for _, value in known]
            results.append(_result(control, score, {control.kind: values}, ""))
    return results


def _value(control: LabelingControl, code: NoteCode) -> Iterator[Any]:
    """Yield what stands for a code in the results of a control tag, if anything does."""
    if control.values is None:
        yield [code.code] if control.kind == "taxonomy" else code.code
    elif code.code in control.values:
        yield control.values[code.code]


def _region(span: EvidenceSpan, text: str, value: Any) -> dict[str, Any]:
    words = text[span.begin : span.end]
    return {"start": span.begin, "end": span.end, "text": words, "labels": [value]}


def _result(
    control: LabelingControl, score: float, value: dict[str, Any], what: str
) -> dict[str, Any]:
    # The same prediction has the same ids whenever it is made.
    id = hashlib.sha256(f"{control.name} {what}".encode()).hexdigest()[:10]
    return {
        "id": id,
        "from_name": control.name,
        "to_name": control.text,
        "type": control.kind,
        "value": value,
        "score": score,
    }


def label_studio_router(code: CodeNotes, model_version: str) -> APIRouter:
    """Return the routes of the protocol; Label Studio's setting is their address.

    Args:
        code: Predicts codes.
        model_version: What names the model in Label Studio.
    """
    router = APIRouter(prefix="/label-studio", tags=["Label Studio"], route_class=ServiceRoute)

    @router.get("/")
    @router.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "UP", "model_class": "icdcode"}

    @router.post("/setup")
    def setup(body: dict[str, Any]) -> dict[str, Any]:
        labeling_controls(str(body.get("schema") or ""))
        return {"model_version": model_version}

    @router.get("/versions")
    @router.post("/versions")
    def versions() -> dict[str, Any]:
        return {"versions": [model_version], "message": ""}

    @router.post("/predict")
    async def predict(body: dict[str, Any]) -> dict[str, Any]:
        return {"results": await _predict(code, model_version, body)}

    @router.post("/train", status_code=201)
    @router.post("/webhook", status_code=201)
    def train() -> dict[str, Any]:
        return {"status": "ok", "result": {}, "message": _NOT_TRAINED}

    return router


async def _predict(
    code: CodeNotes, model_version: str, body: Mapping[str, Any]
) -> list[dict[str, Any]]:
    controls = labeling_controls(str(body.get("label_config") or ""))
    tasks = body.get("tasks")
    if not isinstance(tasks, list):
        raise DataError("tasks: should be a list of tasks.")
    fields = sorted({control.field for control in controls})
    notes = [
        Note(str(number), _text(task, field, f"tasks[{number}]"))
        for number, task in enumerate(tasks)
        for field in fields
    ]
    coded = iter(zip(notes, await code(notes), strict=True))
    predictions = []
    for _ in tasks:
        results: list[dict[str, Any]] = []
        for field in fields:
            note, found = next(coded)
            results += task_results(
                [control for control in controls if control.field == field], found, note.text
            )
        scores = [result["score"] for result in results]
        score = round(sum(scores) / len(scores), 6) if scores else 0.0
        predictions.append({"model_version": model_version, "score": score, "result": results})
    return predictions


def _text(task: Any, field: str, where: str) -> str:
    data = task.get("data") if isinstance(task, dict) else None
    text = data.get(field) if isinstance(data, dict) else None
    if not isinstance(text, str):
        raise DataError(f"{where}: data has no text in {field[:60]!r}.")
    return checked(text, f"{where}: {field[:60]}")
