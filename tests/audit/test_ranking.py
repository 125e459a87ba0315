"""Ranking suspected errors."""

from types import SimpleNamespace
from typing import Any

import pytest

from icdcli.audit import ranking
from icdcli.audit.documents import AuditDocument
from icdcli.audit.ranking import KINDS, rank_suspicions


def test_a_round_may_have_no_suspicion_of_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """If all documents have all of few codes, only a round that removes one has others instead."""
    documents = [
        AuditDocument(str(n), None, "train", "words", frozenset({0, 1}), ()) for n in range(20)
    ]
    rounds = iter(range(1_000))

    def clues(_: Any, errors: Any) -> dict[Any, Any]:
        found = {kind: ranking._Clues(kind) for kind in KINDS}
        if errors is None or next(rounds) % 2:
            for kind, one in found.items():
                gold, right = None if kind == "missing" else 0, None if kind == "unsupported" else 1
                one.places = [(row, gold, right) for row in range(20)]
                one.features = [(float(row), 1.0) for row in range(20)]
        return found

    monkeypatch.setattr(ranking, "_clues", clues)
    corpus: Any = SimpleNamespace(documents=documents, categories=["I10", "J18"])
    found = rank_suspicions(corpus)
    assert {one.row for one in found} == {*range(20)}
