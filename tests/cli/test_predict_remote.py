"""`icdcode predict` from and to a local server that speaks as S3 does."""

import logging

import pytest

from icdcli.predict import batches

pytestmark = pytest.mark.slow
TEXTS = ("Chest pain, denies fever.", "Acute heart failure.", "Type two diabetes.", "Cough.")


@pytest.fixture(scope="module")
def bucket():
    """Return the file system of a running server with the bucket ``hospital``."""
    from moto.server import ThreadedMotoServer
    from s3fs import S3FileSystem

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        S3FileSystem.clear_instance_cache()
        system = S3FileSystem()
        system.mkdir("hospital")
        yield system
        S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(scope="module")
def notes(bucket, tmp_path_factory):
    """Return a folder with notes in several formats, which are in the bucket, too."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("notes")
    rows = [{"id": f"n{number}", "text": TEXTS[number % 4]} for number in range(12)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "notes.parquet")
    lines = "".join(f"{row['id']},{row['text'].replace(',', ' ')}\n" for row in rows)
    (folder / "notes.csv").write_text("id,text\n" + lines)
    (folder / "texts").mkdir()
    for row in rows[:3]:
        (folder / "texts" / f"{row['id']}.txt").write_text(row["text"])
    for path in folder.rglob("*.*"):
        bucket.put_file(str(path), f"hospital/in/{path.relative_to(folder)}")
    return folder


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(batches, "BLOCK_NOTES", 4)


def predict(icdcode, run, notes, output):
    return icdcode("predict", run, notes, "--top", "2", "--device", "cpu", "--output", output)


@pytest.mark.parametrize(
    ("given", "output"),
    [("notes.parquet", "a.parquet"), ("notes.csv", "b.csv"), ("texts", "c.jsonl")],
)
def test_the_file_is_that_of_local_notes(icdcode, trained, bucket, notes, tmp_path, given, output):
    assert predict(icdcode, trained, notes / given, tmp_path / output).code == 0
    answer = predict(icdcode, trained, f"s3://hospital/in/{given}", f"s3://hospital/out/{output}")
    assert answer.code == 0, answer.err
    assert f"Written: s3://hospital/out/{output}" in answer.out
    assert bucket.cat(f"hospital/out/{output}") == (tmp_path / output).read_bytes()
    assert not [path for path in bucket.find("hospital/out") if ".parts" in path]


def test_what_is_wrong_is_reported_without_keys(refused, trained, bucket, notes):
    good = "s3://hospital/in/notes.csv"
    output = ("--output", "s3://hospital/x.csv")
    message = refused(3, "predict", trained, "s3://nowhere/a.csv", *output, says="no such bucket")
    assert "AKIATEST" not in message
    refused(3, "predict", trained, "s3://hospital/none.csv", *output, says="no such file")
    says = "--output s3://nowhere/x.csv: can't be written (no such bucket)"
    refused(2, "predict", trained, good, "--output", "s3://nowhere/x.csv", says=says)
    refused(2, "predict", trained, good, "--output", good, says="the notes are read from this file")


def test_notes_to_train_on_are_copied(icdcode, bucket, notes, tmp_path):
    answer = icdcode("copy-data", "s3://hospital/in/", tmp_path / "copy")
    assert answer.code == 0, answer.err
    copied = [path for path in (tmp_path / "copy").rglob("*.*") if path.name != "_copied.json"]
    assert len(copied) == 5
    for path in copied:
        assert path.read_bytes() == (notes / path.relative_to(tmp_path / "copy")).read_bytes()
    answer = icdcode("copy-data", "s3://hospital/in/notes.csv", tmp_path / "one", "--json")
    assert answer.json["data_path"] == str(tmp_path / "one" / "notes.csv")
