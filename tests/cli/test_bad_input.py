"""Wrong tables and missing features: one message, its exit code, no partial output."""

import gzip
import shutil

import pytest


@pytest.fixture
def refused_data(refused, table_copies):
    """Return a function that asserts that tables are refused and no part of a corpus is left."""

    def run(says, *options):
        message = refused(3, "prepare-data", table_copies, *options, says=says)
        left = {
            path.name for path in (table_copies / ".icdcode").rglob("*") if path.suffix != ".lock"
        }
        assert left <= {"sources.json"}  # the hashes of the tables, which stay valid
        return message

    return run


def test_missing_tables_are_all_named(refused_data, table_copies):
    for name in ("NOTEEVENTS", "D_ICD_PROCEDURES"):
        (table_copies / f"{name}.csv.gz").unlink()
    message = refused_data(["missing NOTEEVENTS.csv or NOTEEVENTS.csv.gz", "Put every table"])
    assert "D_ICD_PROCEDURES.csv" in message
    assert "DIAGNOSES" not in message
    assert not (table_copies / ".icdcode").exists()


def test_missing_column_is_reported_with_the_most_similar(refused_data, table_copies, rewrite):
    rewrite(table_copies, "DIAGNOSES_ICD", lambda text: text.replace("ICD9_CODE", "ICD_CODE", 1))
    refused_data(
        [
            "DIAGNOSES_ICD.csv.gz: no column 'ICD9_CODE' (did you mean 'ICD_CODE'?)",
            "Its columns are: ROW_ID,",
        ]
    )


def test_noteevents_without_rows(refused_data, table_copies, rewrite):
    rewrite(table_copies, "NOTEEVENTS", lambda text: text[: text.index("\n") + 1])
    refused_data(
        "NOTEEVENTS.csv.gz: has a header but no rows. Copy or download the complete table."
    )


def test_noteevents_of_zero_bytes(refused_data, table_copies):
    (table_copies / "NOTEEVENTS.csv.gz").write_bytes(b"")
    refused_data("NOTEEVENTS.csv.gz: is empty. Copy or download it again.")


def test_noteevents_without_discharge_summaries(refused_data, table_copies, rewrite):
    rewrite(
        table_copies, "NOTEEVENTS", lambda text: text.replace('"Discharge summary"', '"Summary"')
    )
    refused_data("NOTEEVENTS.csv.gz: no row has CATEGORY 'Discharge summary', a HADM_ID and a text")


def test_truncated_gzip(refused_data, table_copies, place, refused, tmp_path):
    table = table_copies / "NOTEEVENTS.csv.gz"
    table.write_bytes(table.read_bytes()[:-2000])
    says = ["NOTEEVENTS.csv.gz", "the compressed file ends too early. Copy or download it again"]
    refused_data(says)
    refused(
        3,
        "train",
        place.config,
        f"data_path={table_copies}",
        f"project={tmp_path / 'new'}",
        says=says,
    )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"%PDF-1.7\n\0\1\2", "is binary, not a CSV file. Export the table as CSV in UTF-8"),
        (b"only some words\n", "no column 'SUBJECT_ID'"),
        (b"ROW_ID\tTEXT\n1\tx\n", "no column 'SUBJECT_ID'"),
    ],
)
def test_file_that_is_not_csv(refused_data, table_copies, content, says):
    (table_copies / "NOTEEVENTS.csv.gz").unlink()
    (table_copies / "NOTEEVENTS.csv").write_bytes(content)
    refused_data([f"{table_copies / 'NOTEEVENTS.csv'}: ", says])


def test_file_that_is_not_gzip(refused_data, table_copies):
    (table_copies / "NOTEEVENTS.csv.gz").write_bytes(b"ROW_ID,TEXT\n")
    refused_data("NOTEEVENTS.csv.gz: not a gzip file")


def test_admissions_without_codes_or_notes_are_counted_not_fatal(icdcode, table_copies, rewrite):
    before = icdcode("prepare-data", table_copies, "--json").json["card"]["dropped"]
    rewrite(
        table_copies,
        "DIAGNOSES_ICD",
        lambda text: text + '9999,1,999991,1,"4019"\n9998,1,999992,1,"4019"\n',
    )
    rewrite(
        table_copies,
        "NOTEEVENTS",
        lambda text: text + '9999,1,999993,,,,"Discharge summary","Report",,,"Well."\n',
    )
    after = icdcode("prepare-data", table_copies, "--json")
    assert after.code == 0
    more = {
        reason: count - before.get(reason, 0)
        for reason, count in after.json["card"]["dropped"].items()
    }
    assert more["admissions with codes but no note"] == 2
    assert more["admissions with a note but no codes"] == 1
    assert "admissions with codes but no note" in after.err


def test_split_left_empty(refused_data, table_copies, rewrite):
    header, *_ = (
        gzip.decompress((table_copies / "NOTEEVENTS.csv.gz").read_bytes()).decode().splitlines()
    )
    notes = "".join(
        f'{n},7,{n},,,,"Discharge summary","Report",,,"Pneumonia."\n' for n in range(1, 6)
    )
    rewrite(table_copies, "NOTEEVENTS", lambda text: f"{header}\n{notes}")
    rewrite(
        table_copies,
        "DIAGNOSES_ICD",
        lambda text: text + "".join(f'{n},7,{n},1,"486"\n' for n in range(1, 6)),
    )
    refused_data(
        [
            "protocol patient leaves no document for train and validation "
            "(documents: train 0, validation 0, test 5",
            "Use more data",
        ]
    )


def test_data_folder_that_holds_no_data_set(refused, tmp_path):
    refused(
        3,
        "prepare-data",
        tmp_path,
        says=["is not a data set that icdcode knows", "mimic3:", "codiesp:", "table:"],
    )
    assert list(tmp_path.iterdir()) == []


def test_data_folder_that_is_not_there(refused, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    says = ["nowhere: no such file or folder", str(tmp_path), "icdcode demo-data nowhere"]
    refused(3, "prepare-data", "nowhere", says=says)
    refused(3, "train", place.config, "data_path=nowhere", "project=new", says=says)
    assert list(tmp_path.iterdir()) == []


def test_interrupting_preparation_leaves_no_corpus(icdcode, table_copies, monkeypatch):
    from icdcli.data.corpus import prepare

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "write_corpus", interrupt)
    answer = icdcode("prepare-data", table_copies)
    assert (answer.code, answer.out, answer.err) == (130, "", "")
    assert {
        path.name for path in (table_copies / ".icdcode").glob("*") if path.suffix != ".lock"
    } == set()


def test_folder_of_any_name(icdcode, place, tmp_path):
    folder = tmp_path / """it's "a" \\ folder: [x], #1 ü 😀"""
    shutil.copytree(place.tables, folder, ignore=shutil.ignore_patterns(".icdcode"))
    assert icdcode("prepare-data", folder, "--json").json["folder"].startswith(str(folder))


# --- features that a machine lacks


def test_gpu_that_is_not_there(refused, place, trained, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    says = ["device: [0]: this machine has no GPU that PyTorch can use", "device=cpu"]
    refused(2, "train", place.config, "device=[0]", f"project={tmp_path / 'new'}", says=says)
    refused(2, "evaluate", trained, "--device", "0", says=[*says, "--device cpu"])
    assert not (tmp_path / "new").exists()


def test_gpu_that_is_not_among_those_there(refused, place, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    says = "device: [5]: there is no GPU 5 on this machine. It has 0, 1"
    refused(2, "train", place.config, "device=5", f"project={tmp_path / 'new'}", says=says)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            "nobody/nothing",
            [
                "nobody/nothing: can't be reached",
                "hf download nobody/nothing --local-dir FOLDER",
                "`model: FOLDER`",
            ],
        ),
        (
            "llama3",
            [
                "llama3 (McGill-NLP/LLM2Vec-Meta-Llama-3-8B-Instruct-mntp): can't be reached",
                "hf download",
            ],
        ),
        (
            "llama-3",
            [
                "is neither a folder nor a Hugging Face id (owner/name). "
                "Known names: llama3, mistral, tiny"
            ],
        ),
        ("{folder}/empty", ["the folder has no Hugging Face model (no config.json)"]),
        ("{folder}/bare", ["bare: can't be loaded: "]),
        ("{folder}/no-tokenizer", ["no-tokenizer: can't be loaded: "]),
        ("{folder}/cut-off", ["cut-off: its weights are damaged", "Copy or download it again"]),
    ],
)
def test_model_that_cannot_be_had(refused, place, trained, model_folders, tmp_path, model, says):
    for name in ("empty", "bare"):
        (tmp_path / name).mkdir()
    (tmp_path / "bare" / "config.json").write_text("{}")
    for name in ("no-tokenizer", "cut-off"):
        shutil.copytree(model_folders["bert"], tmp_path / name)
    (tmp_path / "no-tokenizer" / "tokenizer.json").unlink()
    weights = tmp_path / "cut-off" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    name = model.format(folder=tmp_path)
    refused(
        2,
        "train",
        place.config,
        f"model={name}",
        f"project={tmp_path / 'new'}",
        says=["model: ", *says],
    )
    assert not (tmp_path / "new").exists()


# --- folders that can't be written


def test_file_in_place_of_the_project(refused, place, tmp_path):
    (tmp_path / "taken").write_text("precious")
    for project in (tmp_path / "taken", tmp_path / "taken" / "below"):
        refused(
            2,
            "train",
            place.config,
            f"project={project}",
            says=f"{tmp_path / 'taken'}: is a file, but `project` must be a folder",
        )
    assert (tmp_path / "taken").read_text() == "precious"


def test_file_in_place_of_the_corpus(refused, place, tmp_path):
    (tmp_path / "taken").write_text("")
    refused(
        2,
        "prepare-data",
        place.tables,
        f"cache_dir={tmp_path / 'taken'}",
        says=["cache_dir: ", "Set cache_dir to a folder of your own"],
    )


# --- demo-data


def test_demo_data_replaces_tables_only_on_request(refused, icdcode, table_copies, files):
    before = {name: (table_copies / name).read_bytes() for name in files(table_copies)}
    refused(
        2,
        "demo-data",
        table_copies,
        "--admissions",
        "20",
        says=["already holds ADMISSIONS.csv.gz", "--overwrite"],
    )
    assert {name: (table_copies / name).read_bytes() for name in files(table_copies)} == before
    assert icdcode("demo-data", table_copies, "--admissions", "20", "--overwrite").code == 0
    assert (table_copies / "NOTEEVENTS.csv.gz").read_bytes() != before["NOTEEVENTS.csv.gz"]


def test_demo_data_of_too_few_admissions(refused, tmp_path):
    refused(
        2,
        "demo-data",
        tmp_path / "new",
        "--admissions",
        "19",
        says="synthetic data needs at least 20",
    )
    assert list(tmp_path.iterdir()) == []


def test_demo_data_onto_a_file(refused, tmp_path):
    (tmp_path / "taken").write_text("")
    refused(2, "demo-data", tmp_path / "taken", says="taken: is a file. Give a folder")
