import pytest

from icdcli.data.text_cleaning import CLEANERS

TEXT = "Admission Date:  [**2151-7-16**]\n\nMr. O'Neil's BP 120/80, T2DM; 2nd day, café x_1 ½"


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("none", TEXT),
        ("caml", "admission date mr o neil s bp t2dm 2nd day café x_1"),
        ("edin", "admission date mr o neil s bp t2dm 2nd day caf x"),
    ],
)
def test_a_text_is_cleaned_as_its_paper_does(name, cleaned):
    assert CLEANERS[name](TEXT) == cleaned
