"""Plain lists of codes in order: by the chapters of ICD, or by their beginnings."""

from icdcli.icd.editions.nesting import nested, nested_by_prefix


def above(entries):
    return {entry.code: entry.parent for entry in entries}


def test_codes_of_icd_are_below_their_chapters_blocks_and_categories():
    found = list(
        nested(
            {"250.00": "DM", "250.01": "DM 1", "V10.3": "Hx", "E849.0": "Home"}, "diagnosis", "icd9"
        )
    )
    parents = above(found)
    assert parents["250.00"] == "250"
    assert parents["250"] == "249-259"
    assert parents["E849.0"] == "E849"
    assert [entry.title for entry in found if entry.code == "250"] == [""]
    assert [entry.assignable for entry in found if entry.code in ("250", "250.00")] == [False, True]


def test_a_category_that_is_a_block_has_its_title():
    found = {entry.code: entry for entry in nested({"00.01": "Ultrasound"}, "procedure", "icd9")}
    assert found["00"].title == "Procedures and interventions, not elsewhere classified"
    assert found["00"].level == "category"


def test_codes_of_other_systems_are_below_the_longest_code_that_they_begin_with():
    titles = {"D2": "diabetes", "D2-1": "mild", "D2-11": "very mild", "X": "other"}
    found = list(nested_by_prefix(titles, {}))
    assert above(found) == {"D2": None, "D2-1": "D2", "D2-11": "D2-1", "X": None}
    assert [entry.code for entry in found if entry.assignable] == ["D2-11", "X"]


def test_named_parents_count_more_and_come_first():
    found = list(nested_by_prefix({"A1": "one", "B": "top"}, {"A1": "B"}))
    assert [(entry.code, entry.parent) for entry in found] == [("B", None), ("A1", "B")]
