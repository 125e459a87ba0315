import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icdcli.io.arrow import lists_of_strings, numbers, strings, values_of

TEXT = st.text(max_size=5)


@settings(deadline=None)  # the first call of pyarrow.array imports pandas
@given(st.lists(st.none() | TEXT, max_size=20))
def test_strings_are_those_that_pyarrow_makes(values):
    made = strings(values)
    made.validate(full=True)
    assert made.equals(pa.array(values, pa.string()))


@settings(deadline=None)
@given(st.lists(st.lists(TEXT, max_size=3), max_size=9))
def test_lists_of_strings_are_those_that_pyarrow_makes(values):
    made = lists_of_strings(values)
    made.validate(full=True)
    assert made.equals(pa.array(values, pa.list_(pa.string())))


@settings(deadline=None)
@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=9), st.integers(0, 9))
def test_numbers_go_in_and_come_out_as_they_were(values, start):
    made = numbers(values, np.int32)
    assert made.equals(pa.array(values, pa.int32()))
    assert values_of(made.slice(start), np.int32).tolist() == values[start:]


def test_what_is_no_valid_unicode_is_refused():
    with pytest.raises(UnicodeEncodeError):
        strings(["a", "\ud800"])


def test_preparing_a_corpus_does_not_import_pandas(tmp_path):
    table = tmp_path / "notes.csv"
    rows = [
        f"{split}{n},{split},note {n},I10;E11.9"
        for split in ("train", "validation", "test")
        for n in range(9)
    ]
    table.write_text("\n".join(["id,split,text,codes", *rows]) + "\n")
    script = (
        "import sys; from icdcli.data.section import DataConfig;"
        "from icdcli.data.corpus.prepare import prepare;"
        "prepare(DataConfig(data_path=sys.argv[1]));"
        "print(sorted({'pandas', 'torch'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, table], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
