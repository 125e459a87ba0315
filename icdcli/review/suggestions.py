"""The suggestions of models for notes: stored once, never changed, the newest set is shown."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from icdcli.errors import DataError
from icdcli.explain.spans import EvidenceSpan
from icdcli.review.notes import note_numbers
from icdcli.review.schema import (
    ModelRow,
    NoteRow,
    SuggestionRow,
    SuggestionSetRow,
    Table,
    TextRow,
)
from icdcli.review.store import Store

_AT_ONCE = 200


@dataclass(frozen=True)
class SuggestingModel:
    """A model that makes suggestions.

    Attributes:
        sha256: The hash of the checkpoint.
        name: The name of the run, for people.
        codes: The codes of its label space, in order.
        editions: Kind of code to the edition's name and hash, as checkpoints have them.
        validation: Its metrics on the validation split, such as ``precision_micro``; what
            reviewers see is compared with them.
    """

    sha256: str
    name: str
    codes: Sequence[str] = field(repr=False)
    editions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    validation: Mapping[str, float] = field(default_factory=dict)

    @property
    def labels_sha256(self) -> str:
        """Return the hash of the label space."""
        return hashlib.sha256("\n".join(self.codes).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A code that a model proposes for a note.

    Attributes:
        code: The code.
        title: Its title, if it has one.
        score: The model's score.
        confidence: The calibrated probability that the code is right.
        threshold: The score from which the model predicts the code.
        edition: The edition of the code; None: unknown.
        evidence: The words behind it, with what the note says of them.
    """

    code: str
    title: str | None
    score: float
    confidence: float
    threshold: float
    edition: str | None = None
    evidence: tuple[EvidenceSpan, ...] = ()

    @property
    def is_predicted(self) -> bool:
        """Return whether the score reaches the threshold."""
        return self.score >= self.threshold


@dataclass(frozen=True)
class SuggestionSet:
    """The suggestions of one model for one note.

    Attributes:
        number: The number of the set, which events refer to.
        model: The hash of the model.
        model_name: The name of the model.
        editions: The editions of the model.
        uncertainty: See `uncertainty_of`.
        suggestions: The suggestions, in their order.
    """

    number: int
    model: str
    model_name: str
    editions: Mapping[str, Mapping[str, str]]
    uncertainty: float
    suggestions: tuple[Suggestion, ...]


def uncertainty_of(suggestions: Iterable[Suggestion]) -> float:
    """Return how many wrong choices are expected if each code is decided by its confidence."""
    return sum(min(one.confidence, 1 - one.confidence) for one in suggestions)


def add_model(store: Store, model: SuggestingModel, *, accept_others: bool = False) -> bool:
    """Record a model before it suggests codes.

    Args:
        store: The store.
        model: The model.
        accept_others: Accept a label space or an edition that differs from that of the store's
            last model.

    Returns:
        Whether the store didn't have it.

    Raises:
        DataError: If its label space or its editions are others, and it isn't accepted.
    """
    with store.writing() as connection:
        known = select(ModelRow.number).where(ModelRow.sha256 == model.sha256)
        if connection.scalar(known) is not None:
            return False
        last = connection.execute(
            select(ModelRow).order_by(ModelRow.number.desc()).limit(1)
        ).first()
        if last is not None and not accept_others:
            _refuse_others(store, model, last)
        added = connection.scalar(
            _insert_unless_there(store, ModelRow)
            .values(
                sha256=model.sha256,
                name=model.name,
                labels_sha256=model.labels_sha256,
                labels=len(model.codes),
                editions={kind: dict(one) for kind, one in model.editions.items()},
                validation=dict(model.validation),
                added_at=store.clock(),
            )
            .returning(ModelRow.number)
        )
    return added is not None


def has_model(store: Store, sha256: str) -> bool:
    """Return whether a store has recorded a model."""
    with store.reading() as connection:
        query = select(ModelRow.number).where(ModelRow.sha256 == sha256)
        return connection.scalar(query) is not None


def add_suggestions(
    store: Store,
    model_sha256: str,
    suggested: Iterable[tuple[str, Sequence[Suggestion]]],
) -> int:
    """Store the suggestions of a model for notes.

    What the store has already isn't stored again, so that a killed call can be repeated. Older
    suggestions are kept: decisions refer to those that they were made on.

    Args:
        store: The store.
        model_sha256: The hash of a model that `add_model` has recorded.
        suggested: Pairs of a note's id and its suggestions.

    Returns:
        The number of new sets.

    Raises:
        DataError: If the store has no such model or note, or evidence is outside of the note.
    """
    source, new = iter(suggested), 0
    while block := list(islice(source, _AT_ONCE)):
        with store.writing() as connection:
            model = connection.scalar(
                select(ModelRow.number).where(ModelRow.sha256 == model_sha256)
            )
            if model is None:
                raise DataError(f"{store.name}: has no model {model_sha256[:12]}.")
            numbers = note_numbers(connection, [id for id, _ in block], store.name)
            for id, suggestions in block:
                new += _add_set(store, connection, numbers[id], model, id, suggestions)
    return new


def suggestions_of(
    store: Store, id: str, *, model: str | None = None, number: int | None = None
) -> SuggestionSet | None:
    """Return the newest suggestions for a note, or certain ones; None: there are none.

    Args:
        store: The store.
        id: The note.
        model: Only those of this model.
        number: The number of the set, as events have it.
    """
    with store.reading() as connection:
        note = note_numbers(connection, [id], store.name)[id]
        return read_suggestions(connection, note, model=model, number=number)


def read_suggestions(
    connection: Connection, note: int, *, model: str | None = None, number: int | None = None
) -> SuggestionSet | None:
    """Return what `suggestions_of` does, for the number of a note."""
    query = (
        select(SuggestionSetRow, ModelRow.sha256, ModelRow.name, ModelRow.editions)
        .join(ModelRow, ModelRow.number == SuggestionSetRow.model)
        .where(SuggestionSetRow.note == note)
        .order_by(SuggestionSetRow.number.desc())
        .limit(1)
    )
    if model is not None:
        query = query.where(ModelRow.sha256 == model)
    if number is not None:
        query = query.where(SuggestionSetRow.number == number)
    row = connection.execute(query).first()
    if row is None:
        return None
    rows = connection.execute(
        select(SuggestionRow)
        .where(SuggestionRow.suggestion_set == row.number)
        .order_by(SuggestionRow.rank)
    )
    found = tuple(
        Suggestion(
            one.code,
            one.title,
            one.score,
            one.confidence,
            one.threshold,
            one.edition,
            tuple(EvidenceSpan(*span) for span in one.evidence),
        )
        for one in rows
    )
    return SuggestionSet(row.number, row.sha256, row.name, row.editions, row.uncertainty, found)


def _refuse_others(store: Store, model: SuggestingModel, last: Any) -> None:
    if last.labels_sha256 != model.labels_sha256:
        raise DataError(
            f"{store.name}: its suggestions are by {last.name}, with a label space of "
            f"{last.labels:,} codes; the label space of {model.name} is another one "
            f"({len(model.codes):,} codes). Use another store, or accept other label spaces."
        )
    for kind, edition in model.editions.items():
        before = last.editions.get(kind)
        if before is not None and before["sha256"] != edition["sha256"]:
            raise DataError(
                f"{store.name}: its suggestions are codes of {before['name']}, those of "
                f"{model.name} of {edition['name']}. Use another store, or accept other editions."
            )


def _add_set(
    store: Store,
    connection: Connection,
    note: int,
    model: int,
    id: str,
    suggestions: Sequence[Suggestion],
) -> int:
    length = _characters(connection, note)
    codes = [one.code for one in suggestions]
    if len(set(codes)) < len(codes):
        raise DataError(f"note {id!r}: a code is suggested twice.")
    for one in suggestions:
        for span in one.evidence:
            if not 0 <= span.begin < span.end <= length:
                raise DataError(
                    f"note {id!r}: the evidence for {one.code} ({span.begin} to {span.end}) is "
                    f"outside of its text of {length:,} characters."
                )
        if not 0 <= one.confidence <= 1:
            raise DataError(f"note {id!r}: the confidence of {one.code} is not in [0, 1].")
    rows = [
        {
            "rank": rank,
            "code": one.code,
            "title": one.title,
            "score": float(one.score),
            "confidence": float(one.confidence),
            "threshold": float(one.threshold),
            "edition": one.edition,
            "evidence": [
                [int(span.begin), int(span.end), float(span.weight), span.assertion]
                for span in one.evidence
            ],
        }
        for rank, one in enumerate(suggestions, start=1)
    ]
    content = hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()
    known = select(func.count()).where(
        SuggestionSetRow.note == note,
        SuggestionSetRow.model == model,
        SuggestionSetRow.content_sha256 == content,
    )
    if connection.scalar(known):
        return 0
    number = connection.scalar(
        _insert_unless_there(store, SuggestionSetRow)
        .values(
            note=note,
            model=model,
            content_sha256=content,
            uncertainty=uncertainty_of(suggestions),
            made_at=store.clock(),
        )
        .returning(SuggestionSetRow.number)
    )
    if number is None:
        return 0
    if rows:
        connection.execute(
            insert(SuggestionRow), [{"suggestion_set": number, **row} for row in rows]
        )
    return 1


def _insert_unless_there(store: Store, table: type[Table]) -> Any:
    """Return a statement that inserts nothing if another process has just inserted the same."""
    dialect = sqlite if store.is_sqlite else postgresql
    return dialect.insert(table).on_conflict_do_nothing()


def _characters(connection: Connection, note: int) -> int:
    query = (
        select(TextRow.characters)
        .join(NoteRow, NoteRow.text_sha256 == TextRow.sha256)
        .where(NoteRow.number == note)
    )
    return int(connection.scalar(query) or 0)
