"""The editions in the package are made from their sources, and nothing else."""

import importlib.util
from pathlib import Path

import pytest

from icdcli.icd.editions.edition import Edition

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.slow
def test_the_tables_are_made_from_their_sources():
    spec = importlib.util.spec_from_file_location("make_editions", DOCS / "make_editions.py")
    make_editions = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_editions)
    made = {edition.about: edition.sha256 for edition in make_editions.bundled()}
    stored = [Edition.read(path) for path in make_editions.TABLES.glob("*.parquet")]
    assert {edition.about: edition.sha256 for edition in stored} == made
