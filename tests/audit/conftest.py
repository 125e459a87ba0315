"""Fixtures of the audit's tests: made-up notes with a few errors in their labels."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from icdcli.config.schema import Config
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import Corpus, open_corpus

sys.path.append(str(Path(__file__).parent))  # for `audited_notes`, which these tests share
from audited_notes import audited_config, write_audited_notes

MakeAudited = Callable[..., tuple[Corpus, Config]]


@pytest.fixture
def audited(tmp_path: Path) -> MakeAudited:
    """Return a function that makes a corpus of notes, and its configuration."""

    def make(notes: int, **changes: object) -> tuple[Corpus, Config]:
        path = write_audited_notes(tmp_path / "notes.jsonl", notes)
        config = audited_config(path, **changes)
        return open_corpus(prepare(config.data).folder), config

    return make
