import subprocess
import sys

import pytest

from icdcli.icd.hierarchy import Group, block_of, chapter_of, chapters
from icdcli.icd.titles import titles

TABLES = [
    ("icd9", "diagnosis"),
    ("icd9", "procedure"),
    ("icd10", "diagnosis"),
    ("icd10", "procedure"),
]


@pytest.mark.parametrize(
    ("code", "chapter", "block", "title"),
    [
        ("001.0", "001-139", "001-009", "Intestinal infectious diseases"),
        ("038.9", "001-139", "030-041", "Other bacterial diseases"),
        ("042", "001-139", "042", "Human immunodeficiency virus (HIV) infection"),
        (
            "042.9",
            "001-139",
            "042",
            "Human immunodeficiency virus (HIV) infection",
        ),  # retired in 1994
        ("139.8", "001-139", "137-139", "Late effects of infectious and parasitic diseases"),
        ("140.0", "140-239", "140-149", "Malignant neoplasm of lip, oral cavity, and pharynx"),
        ("209.30", "140-239", "209", "Neuroendocrine tumors"),
        ("250.00", "240-279", "249-259", "Diseases of other endocrine glands"),
        ("285.1", "280-289", "280-289", "Diseases of the blood and blood-forming organs"),
        ("294.8", "290-319", "290-294", "Organic psychotic conditions"),
        ("295.30", "290-319", "295-299", "Other psychoses"),
        ("327.23", "320-389", "327", "Organic sleep disorders"),
        ("401.9", "390-459", "401-405", "Hypertensive disease"),
        ("428", "390-459", "420-429", "Other forms of heart disease"),
        ("428.0", "390-459", "420-429", "Other forms of heart disease"),
        ("486", "460-519", "480-488", "Pneumonia and influenza"),
        ("584.9", "580-629", "580-589", "Nephritis, nephrotic syndrome, and nephrosis"),
        ("745.5", "740-759", "740-759", "Congenital anomalies"),
        ("820.8", "800-999", "820-829", "Fracture of lower limb"),
        (
            "996.72",
            "800-999",
            "996-999",
            "Complications of surgical and medical care, not elsewhere classified",
        ),
        (
            "V01.0",
            "V01-V91",
            "V01-V06",
            "Persons with potential health hazards related to communicable diseases",
        ),
        (
            "V45.81",
            "V01-V91",
            "V40-V49",
            "Persons with a condition influencing their health status",
        ),
        ("V85.41", "V01-V91", "V85", "Body mass index"),
        ("V91.03", "V01-V91", "V91", "Multiple gestation placenta status"),
        ("E000.0", "E000-E999", "E000", "External cause status"),
        ("E029.9", "E000-E999", "E001-E030", "Activity"),
        ("E849.7", "E000-E999", "E849", "Place of occurrence"),
        ("E878.2", "E000-E999", "E878-E879", None),
        ("E888", "E000-E999", "E880-E888", "Accidental falls"),
        ("E999.1", "E000-E999", "E990-E999", "Injury resulting from operations of war"),
    ],
)
def test_icd9_diagnosis_is_in_its_chapter_and_section(
    code: str, chapter: str, block: str, title: str | None
) -> None:
    placed_in(code, "diagnosis", "icd9", chapter, block, title)


@pytest.mark.parametrize(
    ("code", "chapter", "block", "title"),
    [
        ("00.66", "00-00", "00", "Procedures and interventions, not elsewhere classified"),
        ("03.31", "01-05", "03", "Operations on spinal cord and spinal canal structures"),
        ("17.42", "17-17", "17", "Other miscellaneous procedures"),
        ("18.9", "18-20", "18", "Operations on external ear"),
        ("36", "35-39", "36", "Operations on vessels of heart"),
        ("36.15", "35-39", "36", "Operations on vessels of heart"),
        ("38.93", "35-39", "38", "Incision, excision, and occlusion of vessels"),
        ("74.1", "72-75", "74", "Cesarean section and removal of fetus"),
        ("86.59", "85-86", "86", "Operations on skin and subcutaneous tissue"),
        ("99.04", "87-99", "99", "Other nonoperative procedures"),
    ],
)
def test_icd9_procedure_is_in_its_chapter_and_category(
    code: str, chapter: str, block: str, title: str
) -> None:
    placed_in(code, "procedure", "icd9", chapter, block, title)


@pytest.mark.parametrize(
    ("code", "chapter", "block", "title"),
    [
        ("A41.9", "A00-B99", "A30-A49", "Other bacterial diseases"),
        ("B20", "A00-B99", "B20", "Human immunodeficiency virus [HIV] disease"),
        (
            "C34.90",
            "C00-D49",
            "C30-C39",
            "Malignant neoplasms of respiratory and intrathoracic organs",
        ),
        ("C4A.9", "C00-D49", "C43-C44", "Melanoma and other malignant neoplasms of skin"),
        ("C7A.010", "C00-D49", "C7A", "Malignant neuroendocrine tumors"),
        ("C7B.00", "C00-D49", "C7B", "Secondary neuroendocrine tumors"),
        (
            "C79.51",
            "C00-D49",
            "C76-C80",
            "Malignant neoplasms of ill-defined, other secondary and unspecified sites",
        ),
        ("D36.9", "C00-D49", "D10-D36", "Benign neoplasms, except benign neuroendocrine tumors"),
        ("D3A.00", "C00-D49", "D3A", "Benign neuroendocrine tumors"),
        (
            "D46.9",
            "C00-D49",
            "D37-D48",
            "Neoplasms of uncertain behavior, polycythemia vera and myelodysplastic syndromes",
        ),
        ("D50.0", "D50-D89", "D50-D53", "Nutritional anemias"),
        ("E11.9", "E00-E89", "E08-E13", "Diabetes mellitus"),
        ("H59.021", "H00-H59", "H59", None),
        ("H60.00", "H60-H95", "H60-H62", "Diseases of external ear"),
        ("I10", "I00-I99", "I10-I1A", "Hypertensive diseases"),
        ("I1A.0", "I00-I99", "I10-I1A", "Hypertensive diseases"),
        ("I50.9", "I00-I99", "I30-I5A", "Other forms of heart disease"),
        ("I5A", "I00-I99", "I30-I5A", "Other forms of heart disease"),
        ("J4A.0", "J00-J99", "J40-J4A", "Chronic lower respiratory diseases"),
        ("M10.9", "M00-M99", "M05-M14", "Inflammatory polyarthropathies"),
        ("M1A.9XX0", "M00-M99", "M05-M14", "Inflammatory polyarthropathies"),
        ("M97.01XA", "M00-M99", "M97", "Periprosthetic fracture around internal prosthetic joint"),
        ("O9A.111", "O00-O9A", "O94-O9A", "Other obstetric conditions, not elsewhere classified"),
        ("QA0.0101", "Q00-QA0", "QA0", "Genetic disorders, not elsewhere classified"),
        ("S72.001A", "S00-T88", "S70-S79", "Injuries to the hip and thigh"),
        ("T07", "S00-T88", "T07", "Injuries involving multiple body regions"),
        (
            "T82.7XXA",
            "S00-T88",
            "T80-T88",
            "Complications of surgical and medical care, not elsewhere classified",
        ),
        (
            "U07.1",
            "U00-U85",
            "U00-U49",
            "Provisional assignment of new diseases of uncertain etiology or emergency use",
        ),
        ("W19", "V00-Y99", "W00-W19", "Slipping, tripping, stumbling and falls"),
        ("Y09", "V00-Y99", "X92-Y09", "Assault"),
        (
            "Z3A.39",
            "Z00-Z99",
            "Z30-Z39",
            "Persons encountering health services in circumstances related to reproduction",
        ),
        ("Z99.2", "Z00-Z99", "Z77-Z99", None),
    ],
)
def test_icd10_diagnosis_is_in_its_chapter_and_section(
    code: str, chapter: str, block: str, title: str | None
) -> None:
    placed_in(code, "diagnosis", "icd10", chapter, block, title)


@pytest.mark.parametrize(
    ("code", "chapter", "block", "title"),
    [
        ("0016070", "0", "00", "Central Nervous System and Cranial Nerves"),
        ("02703DZ", "0", "02", "Heart and Great Vessels"),
        ("0BJ08ZZ", "0", "0B", "Respiratory System"),
        ("02", "0", "02", "Heart and Great Vessels"),
        ("10E0XZZ", "1", "10", "Pregnancy"),
        ("3E0G76Z", "3", "3E", "Physiological Systems and Anatomical Regions"),
        ("5A1945Z", "5", "5A", "Physiological Systems"),
        ("B2151ZZ", "B", "B2", "Heart"),
        ("GZ3ZZZZ", "G", "GZ", "None"),
        ("XV508A4", "X", "XV", "Male Reproductive System"),  # retired before 2024
        ("XW033E5", "X", "XW", "Anatomical Regions"),
    ],
)
def test_icd10_procedure_is_in_its_section_and_body_system(
    code: str, chapter: str, block: str, title: str
) -> None:
    placed_in(code, "procedure", "icd10", chapter, block, title)


def placed_in(
    code: str, kind: str, system: str, chapter: str, block: str, title: str | None
) -> None:
    found = chapter_of(code, kind, system), block_of(code, kind, system)
    assert [group and group.id for group in found] == [chapter, block]
    assert title is None or found[1] == Group(block, title)


@pytest.mark.parametrize(("system", "kind"), TABLES)
def test_every_official_code_has_a_chapter_and_a_block_within_it(system: str, kind: str) -> None:
    chapter_of_block: dict[Group | None, set[Group | None]] = {}
    for code in titles(system, kind):
        chapter_of_block.setdefault(block_of(code, kind, system), set()).add(
            chapter_of(code, kind, system)
        )
    assert None not in chapter_of_block
    assert all(len(found) == 1 for found in chapter_of_block.values())
    assert set.union(*chapter_of_block.values()) == set(chapters(system, kind))


@pytest.mark.parametrize(
    ("system", "kind", "count", "first", "last"),
    [
        (
            "icd9",
            "diagnosis",
            19,
            Group("001-139", "Infectious and parasitic diseases"),
            Group(
                "E000-E999",
                "Supplementary classification of external causes of injury and poisoning",
            ),
        ),
        (
            "icd9",
            "procedure",
            18,
            Group("00-00", "Procedures and interventions, not elsewhere classified"),
            Group("87-99", "Miscellaneous diagnostic and therapeutic procedures"),
        ),
        (
            "icd10",
            "diagnosis",
            22,
            Group("A00-B99", "Certain infectious and parasitic diseases"),
            Group("U00-U85", "Codes for special purposes"),
        ),
        (
            "icd10",
            "procedure",
            17,
            Group("0", "Medical and Surgical"),
            Group("X", "New Technology"),
        ),
    ],
)
def test_chapters_come_in_official_order(
    system: str, kind: str, count: int, first: Group, last: Group
) -> None:
    found = chapters(system, kind)
    assert len(set(found)) == len(found) == count
    assert (found[0], found[-1]) == (first, last)


@pytest.mark.parametrize(("system", "kind"), TABLES)
@pytest.mark.parametrize(
    "code",
    ["", "unknown", "4280.", "É10", "٤٢٨", "i10", "428.0 ", "3.31", "E8.497", "UNKNOWN", "V1.0"],
)
def test_what_is_no_code_has_neither(code: str, system: str, kind: str) -> None:
    assert chapter_of(code, kind, system) is None
    assert block_of(code, kind, system) is None


@pytest.mark.parametrize(
    ("code", "kind", "system"),
    [
        ("000.0", "diagnosis", "icd9"),
        ("V92", "diagnosis", "icd9"),
        ("F00.1", "diagnosis", "icd10"),
        ("ABC", "procedure", "icd10"),
    ],
)
def test_code_outside_every_range_has_neither(code: str, kind: str, system: str) -> None:
    assert chapter_of(code, kind, system) is None
    assert block_of(code, kind, system) is None


@pytest.mark.parametrize(
    ("code", "kind", "system", "chapter"),
    [
        ("019.0", "diagnosis", "icd9", "001-139"),
        ("W77", "diagnosis", "icd10", "V00-Y99"),
        ("0", "procedure", "icd10", "0"),
    ],
)
def test_code_between_blocks_keeps_its_chapter(
    code: str, kind: str, system: str, chapter: str
) -> None:
    found = chapter_of(code, kind, system)
    assert found
    assert found.id == chapter
    assert block_of(code, kind, system) is None


def test_the_kind_decides_where_a_code_stands() -> None:
    assert chapter_of("36", "procedure", "icd9") != chapter_of("36", "diagnosis", "icd9")
    assert chapter_of("V45", "diagnosis", "icd9") != chapter_of("V45", "diagnosis", "icd10")


def test_unknown_system_or_kind_names_the_choices() -> None:
    with pytest.raises(ValueError, match=r"'icd11'.*icd9.*icd10"):
        chapter_of("428.0", "diagnosis", "icd11")
    with pytest.raises(ValueError, match=r"'symptom'.*diagnosis.*procedure"):
        block_of("no code at all", "symptom", "icd9")
    with pytest.raises(ValueError, match=r"'symptom'.*diagnosis.*procedure"):
        chapters("icd9", "symptom")


def test_nothing_is_read_on_import() -> None:
    code = (
        "import pathlib; read = pathlib.Path.read_text\n"
        "pathlib.Path.read_text = "
        "lambda path, **options: print(path.name) or read(path, **options)\n"
        "from icdcli.icd.hierarchy import chapters\n"
        "print('imported'); chapters('icd9', 'diagnosis'); chapters('icd10', 'procedure')"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["imported", "hierarchy.tsv"]
