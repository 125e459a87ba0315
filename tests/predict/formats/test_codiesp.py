import pytest

from icdcli.data.notes.text import Note
from icdcli.errors import ConfigError, DataError
from icdcli.evaluation.predictions.reading import read_listed
from icdcli.predict.batches import CodedNote, NoteCode
from icdcli.predict.formats.blocks import ModelName
from icdcli.predict.formats.codiesp import codiesp_lines, require_one_line_id
from icdcli.predict.formats.registry import Shape, choose_format


def test_the_lines_are_what_score_reads_as_a_ranking(write):
    notes = [Note("S1-1.txt", "x"), Note("9", "x"), Note("8", "x")]
    path = write("codiesp", "d.tsv", notes=notes, stops=False)
    assert path.read_text(encoding="utf-8").splitlines()[:5] == [
        "S1-1\tm10.9",
        "S1-1\tr05.9",
        "S1-1\t0bj08zz",
        "S1-1\tx1",
        "S1-1\tj45.9",
    ]
    found = read_listed(path)
    assert found.shape == "rankings"
    assert list(found.documents) == ["S1-1", "8"]  # note 9 has no codes


def test_the_best_code_is_first():
    codes = tuple(
        NoteCode(name, None, score, 0.5, True) for name, score in (("A1", 0.2), ("B1", 0.8))
    )
    assert list(codiesp_lines(CodedNote("n", 1, codes))) == ["n\tb1\n", "n\ta1\n"]


@pytest.mark.parametrize("name", ["a b", " a", "a\tb"])
def test_ids_with_blanks_are_refused(name):
    with pytest.raises(DataError, match="--format codiesp: a line is id<tab>code"):
        require_one_line_id(Note(name, "x"))
    require_one_line_id(Note("S0004-06142005000900016-1.txt", "x"))


def test_actions_have_no_place(tmp_path):
    with pytest.raises(ConfigError, match="--accept-at: CodiEsp's format has no field"):
        choose_format(tmp_path / "d.tsv", ModelName("m", "0"), Shape("codiesp", actions=True))
