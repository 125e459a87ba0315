"""The column of codes and its counts agree with plain Python."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from icdcli.data.corpus.document_writer import CodeLists
from icdcli.data.sources.admission import SPLITS, Admission, Code

CODES = st.builds(
    Code, st.sampled_from(["428.0", "V10", "10", "038", "é", ""]), st.sampled_from("ab")
)
DOCUMENTS = st.lists(st.tuples(st.frozensets(CODES), st.sampled_from(SPLITS)), max_size=6)


@given(st.lists(DOCUMENTS, max_size=4))
def test_codes_are_sorted_and_counted_once_per_document(groups):
    column = CodeLists()
    kinds, codes = Counter(), {}
    for group in groups:
        documents = [(Admission("1", None, "text", its), split) for its, split in group]
        expected = [sorted({code.code for code in its}) for its, _ in group]
        made = column.of(documents)
        made.validate(full=True)
        assert made.to_pylist() == expected
        for (its, split), names in zip(group, expected, strict=True):
            kinds.update(its)
            codes.setdefault(split, Counter()).update(names)
    assert column.kind_counts == kinds
    assert column.code_counts == codes
    assert all(count > 0 for counts in column.code_counts.values() for count in counts.values())
