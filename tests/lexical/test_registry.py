"""A lexical part is known by the file that registers it, and by nothing else."""

import sys
import textwrap

import numpy as np
import pytest

from icdcli.lexical import names, parts
from icdcli.lexical.lexical_model import LexicalModel
from icdcli.lexical.names import part_names
from icdcli.lexical.registry import part_type

TARGETS = [np.array([0], np.int32), np.array([1], np.int32)]


@pytest.fixture
def new_part(tmp_path, monkeypatch):
    """Adds a part, the number of a document's letters, as one file in another folder of parts."""
    (tmp_path / "letters.py").write_text(
        textwrap.dedent("""
            import numpy as np
            from icdcli.lexical.registry import PartType, register_part

            class Letters:
                def __init__(self, labels):
                    self.labels = labels
                def scores(self, texts):
                    return np.array([[len(text)] * self.labels for text in texts], np.float32)
                def by_word(self, document, labels):
                    return np.ones((len(labels), len(document)), np.float32)
                def arrays(self):
                    return {}

            register_part(
                PartType(
                    name="letters",
                    fit=lambda documents: Letters(documents.number_of_labels),
                    fit_out_of_fold=lambda documents: None,
                    load=lambda arrays, words, labels: Letters(labels),
                )
            )
        """)
    )
    monkeypatch.setattr(names, "_FOLDERS", [*names._FOLDERS, str(tmp_path)])
    monkeypatch.setattr(parts, "__path__", [*parts.__path__, str(tmp_path)])
    yield "letters"
    sys.modules.pop("icdcli.lexical.parts.letters", None)


def test_the_parts_have_their_order():
    first = ("ngrams", "descriptions", "evidence")
    assert part_names() == (*first, "mentions", "terms", "translations")


def test_a_part_has_the_name_of_its_module():
    assert [part_type(name).name for name in part_names()] == list(part_names())


def test_a_new_part_is_one_file(new_part, tmp_path):
    assert new_part in part_names()
    model = LexicalModel.fit(["one", "two words"], TARGETS, [(), ()], parts=[new_part])
    model.save(tmp_path / "lexical")
    loaded = LexicalModel.load(tmp_path / "lexical", 2)
    assert loaded.parts == (new_part,)
    assert loaded.scores(["four"])[new_part].tolist() == [[4, 4]]


def test_an_unknown_part_is_an_error():
    with pytest.raises(ValueError, match="unknown part 'rhymes'"):
        LexicalModel.fit(["one", "two"], TARGETS, [(), ()], parts=["rhymes"])
