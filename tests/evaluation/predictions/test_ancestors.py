import pytest

from icdcli.evaluation.predictions.ancestors import levels_of, paths_of
from icdcli.icd.code_system import open_code_system


@pytest.mark.parametrize(
    ("system", "kind", "code", "nodes"),
    [
        ("icd10", "diagnosis", "E11.65", "E00-E89 E08-E13 E11 E11.6 E11.65"),
        ("icd10", "diagnosis", "S02.0XXA", "S00-T88 S00-S09 S02 S02.0 S02.0XXA"),
        ("icd10", "diagnosis", "D3A.00", "C00-D49 D3A D3A.0 D3A.00"),
        ("icd10", "diagnosis", "E11.99", "E00-E89 E08-E13 E11 E11.9 E11.99"),  # there is no such
        ("icd10", "procedure", "0BJ08ZZ", "0 0B 0BJ 0BJ0 0BJ08 0BJ08Z 0BJ08ZZ"),
        ("icd10", "procedure", "0BJ0", "0 0B 0BJ 0BJ0"),
        ("icd9", "diagnosis", "V15.82", "V01-V91 V10-V19 V15 V15.8 V15.82"),
        ("icd9", "diagnosis", "E849.7", "E000-E999 E849 E849.7"),
        ("icd9", "procedure", "33.24", "30-34 33 33.2 33.24"),
    ],
)
def test_nodes_from_the_chapter_down(system: str, kind: str, code: str, nodes: str) -> None:
    opened = open_code_system(system)
    (path,) = paths_of([code], [kind], opened)
    assert [name.removeprefix(f"{kind} ") for _, name in path] == nodes.split()
    levels = [level for level, _ in path]
    assert levels == sorted(levels, key=levels_of(opened).index)
    assert len(set(levels)) == len(levels)


def test_an_invented_code_has_only_itself_and_its_category() -> None:
    (path,) = paths_of(["CODE6"], ["diagnosis"], open_code_system("icd10"))
    assert [name for _, name in path] == ["COD", "CODE6"]
