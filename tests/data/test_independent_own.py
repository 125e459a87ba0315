"""Own tables and CodiEsp with awkward content: `prepare` gives what a plain reading gives."""

import gzip
import importlib.util
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icdcli.data.corpus.prepare import prepare
from icdcli.data.section import DataConfig

spec = importlib.util.spec_from_file_location("plain_own", Path(__file__).with_name("plain_own.py"))
plain = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plain)

WORDS = "pain chest denies FEVER heart failure acute 12 mg daily fiebre tos niño".split()
SNAGS = [
    'a "quoted" word, then',
    '""',
    '"',
    "line\nbreak",
    "carriage\r\nreturn",
    "lone\rreturn",
    "semi;colon|pipe",
    "tab\there",
    "cafe\u0301 and caf\u00e9",
    "sepa\u2028rated\x85by\x0cform\xa0feed",
    "漢字 😀 ½",
    "NULL",
    "back\\slash \\\" and ' and #",
    '{"text": "not a row"}\n',
]
WHOLE = ["NA", "nan", "0", ",", '"', " padded ", "\n\nlate\n", "\u200b", "#", "-5.3e10"]
BLANK = ["", " ", "\t \r\n"]
DIAGNOSES9 = "4280 42731 25000 4019 5849 51881 2720 53081 V5861 E8497 0389 486 2859 041".split()
PROCEDURES9 = "9604 9671 3893 966 3615 0066 4516 8856 3722 9904 0331".split()
DIAGNOSES10 = "I10 E11.9 J18.9 M54.50 F32.9 N39.0 K21.9 I48.91 Z79.4 S72.001A A09".split()
PROCEDURES10 = "0BJ08ZZ 02HV33Z 5A1955Z 3E0G76Z".split()
FORMATS = ["csv", "csv.gz", "jsonl", "parquet"]
SEED, ROWS = 5, 300


def text(rng):
    parts = rng.choices(WORDS, k=rng.randint(3, 12)) + rng.choices(SNAGS, k=rng.randint(0, 4))
    rng.shuffle(parts)
    return rng.choice([" ", "\n", ", "]).join(parts)


def cell(rng, codes):
    """Return codes as somebody may have written them into one cell."""
    codes = codes + rng.choices(codes, k=rng.choice([0, 0, 1]))  # one of them twice
    codes = [rng.choice([code, code, code.lower(), f"{code}\u200b", f'"{code}"']) for code in codes]
    bare = [code.strip('"').strip("\u200b") for code in codes]
    return rng.choice(
        [
            ";".join(codes),
            ", ".join(codes),
            " ".join(codes),
            f" {' | '.join(codes)}; ",
            "; ".join(f"{code} some words" for code in codes),
            "[" + " ".join(f"'{code}'" for code in bare) + "]",
            json.dumps([*bare, ""]),
            f"{';'.join(codes)};nan",
        ]
    )


def table(rng, codes, columns):
    """Return rows with all the snags; `columns` says which of the optional ones there are."""
    patients = [f"p{n} é" if n % 7 else str(n) for n in range(ROWS // 3)]
    split_of = {name: rng.choice(["Train", "training", "dev", " VAL", "test"]) for name in patients}
    bodies = WHOLE + BLANK + [text(rng) for _ in range(ROWS)]
    bodies[40] = "\n".join(text(rng) for _ in range(6000))  # above 300 kB
    bodies[50] = bodies[60]
    rows = []
    for number in range(ROWS):
        patient = rng.choice(patients)
        its = rng.sample(codes, rng.randint(1, 5))
        row = {
            "text": bodies[number],
            "codes": cell(rng, its) if number % 20 else rng.choice(["", "NULL", " ", "unknown"]),
            "note": 'not, "used"\n',
        }
        if "id" in columns:
            row["id"] = rng.choice(["{}", " {}", "{:04d}", "n\u00e9-{}", "ne\u0301-{}"]).format(
                number
            )
        if "subject_id" in columns:
            row["subject_id"] = patient if number % 11 or "split" in columns else ""
        if "split" in columns:
            row["split"] = split_of[patient]
        names = list(row)
        rng.shuffle(names)
        rows.append((names, row))
    order = rows[0][0]
    return [{name: row[name] for name in order} for _, row in rows]


def write(rows, path, rng):
    """Write rows in the format of a name, without icdcli and without a CSV writer."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        lists = [json.loads(row["codes"]) if row["codes"][:2] == '["' else None for row in rows]
        if rng.random() < 0.5:  # a column of lists
            rows = [
                row | {"codes": its if its is not None else plain.raw_codes(row["codes"])}
                for row, its in zip(rows, lists, strict=True)
            ]
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=77)
        return path
    if name.endswith(".jsonl"):
        lines = []
        for row in rows:
            row = {key: value for key, value in row.items() if value or rng.random() < 0.5}
            items = list(row.items())
            rng.shuffle(items)
            lines.append(json.dumps(dict(items), ensure_ascii=rng.random() < 0.5))
        content = "\n".join(["\ufeff" + lines[0], "", *lines[1:]]) + "\n"
    else:
        end = rng.choice(["\n", "\r\n"])

        def field(value):
            special = set(value) & set(',"\r\n') or rng.random() < 0.3
            return '"' + value.replace('"', '""') + '"' if special else value

        lines = [rows[0], *(row.values() for row in rows)]
        content = "\ufeff" + "".join(",".join(map(field, line)) + end for line in lines)
    data = content.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def prepared(config):
    """Return the documents and labels that `prepare` wrote."""
    folder = prepare(config).folder
    documents = pq.read_table(folder / "documents.parquet").to_pylist()
    labels = pq.read_table(folder / "labels.parquet").to_pylist()
    assert [row["label"] for row in labels] == list(range(len(labels)))
    return (
        folder,
        [plain.Document(**document) for document in documents],
        {plain.Label(row["code"], row["kind"]) for row in labels},
    )


def check(found, expected):
    documents, labels = found
    assert [document.id for document in documents] == [document.id for document in expected[0]]
    for document, its in zip(documents, expected[0], strict=True):
        assert document == its
    assert labels == expected[1]


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize(
    ("codes", "system", "kind"),
    [
        (DIAGNOSES9, "icd9", "diagnosis"),
        (PROCEDURES9, "icd9", "procedure"),
        (DIAGNOSES10 + PROCEDURES10, "icd10", None),
    ],
)
@pytest.mark.parametrize("columns", [(), ("id", "subject_id"), ("id", "subject_id", "split")])
def test_a_table_is_read_as_the_plain_reading_reads_it(
    tmp_path, ending, codes, system, kind, columns
):
    rng = random.Random(f"{SEED} {ending} {system} {kind} {columns}")
    path = write(table(rng, codes, columns), tmp_path / f"own.{ending}", rng)
    _, *found = prepared(DataConfig(data_path=path, code_system=system))
    expected = plain.own_documents(path, system, kind)
    check(found, expected)
    assert len(expected[0]) > 0.9 * ROWS - len(BLANK)
    assert len(expected[1]) == len(codes)
    assert len({document.split for document in expected[0]}) == 3


def codiesp(folder, rng):
    """Write 300 cases in both languages with their three tables."""
    for name in ("train", "dev", "test"):
        tables = {"D": [], "P": [], "X": []}
        for language in ("text_files", "text_files_en"):
            (folder / name / language).mkdir(parents=True)
        for number in range(100):
            case, spanish = f"S{number:03d}-{name}", text(rng)
            if number % 25 == 0:
                spanish = rng.choice(BLANK)
            for language, body in (("text_files", spanish), ("text_files_en", text(rng))):
                (folder / name / language / f"{case}.txt").write_bytes(body.encode())
            for letter, codes in (("D", DIAGNOSES10), ("P", PROCEDURES10)):
                its = rng.choices(codes, k=rng.choice([0, 1, 3]))
                tables[letter] += [f"{case}\t{code.lower()}" for code in its]
                kind = {"D": "DIAGNOSTICO", "P": "PROCEDIMIENTO"}[letter]
                for code in its:
                    begin = rng.randrange(max(1, len(spanish) - 9))
                    places = [(begin, begin + 4), (begin + 5, begin + 8)][: rng.randint(1, 2)]
                    words = " ".join(spanish[first:last] for first, last in places)
                    words = words if rng.random() < 0.8 else "other words"
                    if not words.strip() or set(words) & set("\t\n\r"):
                        continue
                    places = ";".join(f"{first} {last}" for first, last in places)
                    tables["X"].append(f"{case}\t{kind}\t{code.lower()}\t{words}\t{places}")
        tables["D"].append(f"S999-{name}\ti10")  # without a text
        for letter, lines in tables.items():
            end = rng.choice(["\n", "\r\n"])
            path = folder / name / f"{name}{letter}.tsv"
            path.write_bytes("".join(line + end for line in [*lines, ""]).encode())
    return folder


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize(
    ("codes", "kinds"),
    [
        ("diagnoses", {"D": "diagnosis"}),
        ("procedures", {"P": "procedure"}),
        ("all", {"D": "diagnosis", "P": "procedure"}),
    ],
)
def test_codiesp_is_read_as_the_plain_reading_reads_it(tmp_path, language, codes, kinds):
    data = codiesp(tmp_path / "codiesp", random.Random(SEED))
    config = DataConfig(data_path=data, language=language, codes=codes, cache_dir=tmp_path / "c")
    folder, *found = prepared(config)
    expected = plain.codiesp_documents(data, language, kinds)
    check(found, expected)
    assert len(expected[0]) == 300 - 12 * (language == "es")
    if language == "es":
        evidence = pq.read_table(folder / "evidence.parquet").to_pylist()
        spans = [plain.Span(*(row[n] for n in ("id", "code", "begin", "end"))) for row in evidence]
        assert set(spans) == plain.codiesp_spans(data, kinds)
        assert len(set(spans)) > 60


def test_the_plain_reading_reads_cells_as_by_hand():
    cells = {
        "['25000' '4019']": ["25000", "4019"],
        "I10 high pressure; ICD-10: e11.9*": ["I10", "E11.9"],
        "I10 | nan, E11.9\u200b": ["I10", "E11.9"],
        "NULL": [],
    }
    assert {cell: plain.raw_codes(cell) for cell in cells} == cells
    assert plain.label("E8497", "icd9", "diagnosis") == ("E849.7", "diagnosis")
    assert plain.label("0066", "icd9", "procedure") == ("00.66", "procedure")
    assert plain.label("0BJ08ZZ", "icd10", None) == ("0BJ08ZZ", "procedure")
    assert plain.label("S72001A", "icd10", None) == ("S72.001A", "diagnosis")
