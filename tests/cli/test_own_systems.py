"""Systems that icdcode knows by a table only: national, in-house, and not ICD at all.

Each is used from the table of notes to the page of results: codes stay as they are, titles are
shown, chapters are evaluated, and a code that no training document has is predicted by its title.
"""

import csv
import json
from random import Random

import pyarrow.parquet as pq
import pytest

# Code, title and the code above it; the last code of each is in no training document.
SYSTEMS = {
    "gm": [  # ICD-10-GM, with dagger, asterisk and exclamation mark
        ("I", "Infektionen", ""),
        ("A17.0†", "Tuberkulöse Meningitis", "I"),
        ("G01*", "Meningitis andernorts klassifiziert", "I"),
        ("B95.6!", "Staphylokokken als Ursache", "I"),
        ("K", "Verdauung", ""),
        ("K35.8", "Akute Appendizitis", "K"),
        ("K80.2", "Gallenblasenstein ohne Cholezystitis", "K"),
        ("K21.0", "Refluxkrankheit mit Ösophagitis", "K"),
    ],
    "kcd": [  # no parents: what a code begins with is above it
        ("A00", "콜레라", ""),
        ("A00.0", "비브리오 콜레라균에 의한 고전형 콜레라", ""),
        ("A00.9", "상세불명의 콜레라", ""),
        ("U20", "한의 병증", ""),
        ("U20.1", "위완통 병증", ""),
        ("U20.7", "두통 한열 병증", ""),
    ],
    "spanish_pcs": [  # the first four characters of procedures, as in CodiEsp
        ("0F", "Sistema hepatobiliar", ""),
        ("0FT4", "Resección de vesícula", ""),
        ("0FB0", "Escisión de hígado", ""),
        ("BW", "Imagen", ""),
        ("BW24", "Tomografía de abdomen", ""),
        ("BW03", "Radiografía simple de tórax", ""),
    ],
    "cpt": [  # numbers with leading zeros
        ("Anesthesia", "Anesthesia services", ""),
        ("00100", "Anesthesia for salivary glands", "Anesthesia"),
        ("00102", "Anesthesia for cleft lip repair", "Anesthesia"),
        ("Visits", "Office visits", ""),
        ("99213", "Established patient visit", "Visits"),
        ("00999", "Telephone consultation overnight", "Visits"),
    ],
    "loinc": [
        ("CHEM", "Chemistry", ""),
        ("2345-7", "Glucose in serum", "CHEM"),
        ("2160-0", "Creatinine in serum", "CHEM"),
        ("HEM", "Hematology", ""),
        ("718-7", "Hemoglobin in blood", "HEM"),
        ("777-3", "Platelets counted automatically", "HEM"),
    ],
    "words": [  # codes of several words
        ("Heart", "Diseases of the heart", ""),
        ("heart attack", "Myocardial infarction", "Heart"),
        ("heart failure", "Ventricular dysfunction", "Heart"),
        ("Other", "Anything else", ""),
        ("no follow-up", "Patient was lost", "Other"),
        ("seen, twice", "Repeated consultation requested", "Other"),
    ],
}
QUICK = ("kcd",)  # of the kind of model that needs no training
READ_BY_TITLE = ("gm", "words")  # by a lexical model; n-grams of notes alone can't
CONFIG = """\
data_path: {notes}
text_column: note
codes_column: icd
code_system: file:{table}
label_space: described
language: {language}
model: {model}
{network}device: cpu
positive_threshold: auto
metrics: [map, f1_micro]
project: {project}
name: run
"""
NETWORK = """\
bit: 32
lora_activate: False
gradient_checkpointing: False
freeze_backbone: True
pooling_mode: label_attention
label_width: 16
lexical: True
steps: 3
warmup_steps: 1
batch_size: 8
max_len: 64
log_every: 3
prediction_print_n: 0
"""


def written(folder, system):
    """Write a table of codes and one of notes that name titles; return the codes to assign."""
    rows = SYSTEMS[system]
    with (folder / "codes.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("code", "title", "parent"), *rows])
    above = {parent for _, _, parent in rows} | {"A00", "U20", "0F", "BW"}
    codes = [(code, title) for code, title, _ in rows if code not in above]
    *seen, unseen = codes
    random = Random(0)
    with (folder / "notes.csv").open("w", newline="", encoding="utf-8") as file:
        write = csv.writer(file).writerow
        write(("id", "note", "icd", "split"))
        for number in range(30):
            split = ("train", "train", "train", "validation", "test")[number % 5]
            chosen = [unseen] if number % 10 == 9 else random.sample(seen, 2)
            note = f"{number}. " + " ".join(f"Befund: {title}." for _, title in chosen)
            write((f"n{number}", note, "; ".join(code for code, _ in chosen), split))
    return [code for code, _ in codes], unseen


@pytest.mark.parametrize(
    "system",
    [
        system if system in QUICK else pytest.param(system, marks=pytest.mark.slow)
        for system in SYSTEMS
    ],
)
def test_codes_of_any_system_go_the_whole_way(icdcode, tmp_path, monkeypatch, system):
    codes, (unseen, title) = written(tmp_path, system)
    monkeypatch.chdir(tmp_path)
    language = {"gm": "de", "kcd": "ko", "spanish_pcs": "es"}.get(system, "en")
    config = CONFIG.format(
        notes="notes.csv",
        table="codes.csv",
        language=language,
        model="tiny" if system in READ_BY_TITLE else "tfidf",
        network=NETWORK if system in READ_BY_TITLE else "",
        project="runs",
    )
    (tmp_path / "config.yaml").write_text(config)
    card = icdcode("prepare-data", "notes.csv", "--config", "config.yaml", "--json").json["card"]
    assert (card["labels"]["space"], card["labels"]["without_title"]) == ("described", 0)
    assert card["code_validity"] == {"edition": "file:codes.csv"}
    trained = icdcode("train", "config.yaml")
    assert trained.code == 0, trained.err

    result = icdcode("evaluate", "runs/run", "--html", "--json").json
    chapters = [(c, t) for c, t, parent in SYSTEMS[system] if not parent and c not in codes]
    assert set(result["by_chapter"]) <= {f"{title} ({code})" for code, title in chapters}
    assert len(result["by_chapter"]) == 2
    page = (tmp_path / "runs/run/evaluation/test/report.html").read_text(encoding="utf-8")
    assert all(code in page for code in codes)

    (tmp_path / "new.txt").write_text(f"Befund: {title}.", encoding="utf-8")
    options = ("--output", "o.jsonl", "--evidence", "--top", "9")
    assert icdcode("predict", "runs/run", "new.txt", *options).code == 0
    found = json.loads((tmp_path / "o.jsonl").read_text(encoding="utf-8"))["codes"]
    assert {one["code"] for one in found} == set(codes)
    assert {one["code"]: one["title"] for one in found}[unseen] == title
    if system in READ_BY_TITLE:
        assert found[0]["code"] == unseen
        (span,) = found[0]["evidence"]
        assert f"Befund: {title}."[span["begin"] : span["end"]] == title
    options = ("--text-column", "note", "--output", "o.csv")
    assert icdcode("predict", "runs/run", "notes.csv", *options).code == 0
    with (tmp_path / "o.csv").open(encoding="utf-8", newline="") as file:
        assert {row["code"] for row in csv.DictReader(file)} <= set(codes)
    table = pq.read_table(tmp_path / "runs/run/evaluation/test/predictions.parquet")
    gold = table.filter(table.column("gold")).column("code").to_pylist()
    assert set(gold) <= set(codes)
    assert gold.count(unseen) == 3
