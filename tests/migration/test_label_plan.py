"""The label space for another edition."""

import pytest

from icdcli.data.corpus.reader import Labels
from icdcli.icd.code_system import CodeSystem
from icdcli.icd.editions.edition import About, Edition, Entry
from icdcli.migration.label_plan import plan_labels


def edition(name, *entries):
    return Edition.of(About(name, name), entries)


def system(newer):
    return CodeSystem(newer.about.name, None, {"diagnosis": newer})


def labels(**counts):
    numbers = tuple(counts.values())
    titles = tuple(f"Title of {code}" for code in counts)
    return Labels(tuple(counts), ("diagnosis",) * len(counts), titles, numbers, numbers)


OLDER = edition("kcd-1", *(Entry(code, f"Title of {code}") for code in ("A", "B1", "B2", "C", "D")))
NEWER = edition(
    "kcd-2",
    Entry("A", "Another title"),
    Entry("B", "Both"),
    Entry("C", "Title of C", assignable=False),
    Entry("C1", "Left", parent="C"),
    Entry("C2", "Right", parent="C"),
    Entry("N", "New"),
)


def plan(before, described=False, older=OLDER):
    known = {} if older is None else {"diagnosis": older}
    return plan_labels(before, known, system(NEWER), described)


def test_labels_are_kept_divided_and_dropped():
    found = plan(labels(A=5, C=3, D=2, Z=1))
    assert found.labels.codes == ("A", "C1", "C2", "Z")
    assert found.sources == (0, 1, 1, 3)
    assert found.kept == (True, False, False, True)  # neither edition has Z
    assert found.labels.titles == ("Another title", "Left", "Right", "Title of Z")
    assert found.labels.train_counts == (5, 0, 0, 1)
    assert [(one.code, one.documents, one.into) for one in found.retired] == [
        ("C", 3, ("C1", "C2")),
        ("D", 2, ()),
    ]
    relabeling = found.relabeling(labels(A=5, C=3, D=2, Z=1), [()] * 4)
    assert relabeling.shares_L.tolist() == [1, 2, 2, 1]
    assert found.labels.editions["diagnosis"]["name"] == "kcd-2"


def test_a_code_that_is_a_label_already_stays_itself():
    found = plan(labels(C=3, C1=4))
    assert found.labels.codes == ("C1", "C2")
    assert (found.sources, found.kept) == ((1, 0), (True, False))
    # C1 has its own documents, and those of C are shared among both all the same.
    assert found.relabeling(labels(C=3, C1=4), [()] * 2).shares_L.tolist() == [1, 2]


def test_of_two_codes_with_one_successor_the_more_frequent_passes_on():
    older = edition(
        "kcd-1",
        Entry("B", "Both", assignable=False),
        Entry("B1", "First", parent="B"),
        Entry("B2", "Second", parent="B"),
    )
    found = plan(labels(B1=2, B2=7), older=older)
    assert found.labels.codes == ("B",)
    assert found.sources == (1,)
    assert [one.into for one in found.retired] == [("B",), ("B",)]


@pytest.mark.parametrize("described", [False, True])
def test_new_codes_enter_a_described_label_space_only(described):
    found = plan(labels(A=5, C=3), described)
    assert found.new == (["B", "N"] if described else [])
    assert found.successors == ["C1", "C2"]


def test_a_label_of_a_kind_that_the_edition_lacks_is_kept():
    before = Labels(("A", "P"), ("diagnosis", "procedure"), ("a", "p"), (1, 1), (1, 1))
    assert plan(before).labels.codes == ("A", "P")
