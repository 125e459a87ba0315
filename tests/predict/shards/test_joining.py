import json
import os
import shutil

import pytest

from icdcli.data.notes.files import find_notes
from icdcli.errors import ConfigError, DataError
from icdcli.io import fingerprints
from icdcli.io.remote.paths import any_path
from icdcli.predict import writers
from icdcli.predict.formats.format_name import FormatName
from icdcli.predict.shards.joining import join_shards

FILES = {
    "jsonl": ("codes.jsonl",),
    "csv": ("codes.csv",),
    "parquet": ("codes.parquet",),
    "fhir": ("codes.ndjson",),
    "omop": ("nlp.csv", "nlp.parquet"),
    "omop-conditions": ("conditions.csv", "conditions.parquet"),
    "omop-procedures": ("procedures.csv", "procedures.parquet"),
    "dg1": ("codes.hl7",),
    "labelstudio": ("tasks.json",),
    "codiesp": ("codes.tsv",),
}


def test_every_format_is_joined_in_the_next_test():
    assert set(FILES) == set(FormatName.__args__)


@pytest.mark.parametrize(
    ("format", "name"), [(format, name) for format, names in FILES.items() for name in names]
)
@pytest.mark.parametrize("count", [1, 3, 13])
def test_the_joined_file_is_that_of_one_process_byte_for_byte(
    write_shard, write_whole, clock, tmp_path, monkeypatch, format, name, count
):
    monkeypatch.setattr(writers, "_GROUP_ROWS", 7)  # row groups end within blocks and shards
    whole = write_whole(name, format)
    clock()  # the first shard starts when the whole did, the others later
    for number in [*range(1, count + 1, 2), *range(2, count + 1, 2)]:
        assert write_shard(f"{number}/{count}", name, format)
    joined = join_shards(tmp_path / name)
    assert (tmp_path / name).read_bytes() == whole
    assert (joined.shards, joined.notes, joined.cut.notes) == (count, 41, 0)
    assert len(whole) > 300


def test_each_shard_is_a_complete_file_and_all_notes_are_in_exactly_one(write_shard, tmp_path):
    seen = []
    for number in range(1, 4):
        write_shard(f"{number}/3")
        file = tmp_path / "codes.jsonl.shards" / f"{number}-of-3.jsonl"
        ids = [json.loads(line)["id"] for line in file.read_text().splitlines()]
        assert 12 <= len(ids) <= 16
        seen += ids
    assert seen == [str(number) for number in range(1, 42)]


def test_more_shards_than_blocks_leave_some_without_notes(write_shard, write_whole, tmp_path):
    for number in range(1, 21):
        write_shard(f"{number}/20")
    join_shards(tmp_path / "codes.jsonl")
    assert (tmp_path / "codes.jsonl").read_bytes() == write_whole()
    sizes = [path.stat().st_size for path in (tmp_path / "codes.jsonl.shards").glob("*.jsonl")]
    assert sizes.count(0) == 20 - 11


def test_a_missing_and_an_unfinished_shard_are_named(write_shard, tmp_path):
    with pytest.raises(ConfigError, match=r"has no shards\. Write them first"):
        join_shards(tmp_path / "codes.jsonl")

    def die(notes, reported):
        raise ZeroDivisionError

    write_shard("1/4")
    with pytest.raises(ZeroDivisionError):
        write_shard("3/4", predict=die)
    with pytest.raises(DataError, match="shards 2/4, 4/4 are missing and shard 3/4 is unfinished"):
        join_shards(tmp_path / "codes.jsonl")
    assert not (tmp_path / "codes.jsonl").exists()


def test_shards_of_other_numbers_or_inputs_are_refused(write_shard, tmp_path):
    for number in (1, 2, 3):
        write_shard(f"{number}/3")
    write_shard("1/2")
    with pytest.raises(DataError, match="has shards of 2 and of 3"):
        join_shards(tmp_path / "codes.jsonl")
    for path in (tmp_path / "codes.jsonl.shards").glob("*1-of-2*"):
        path.unlink()
    write_shard("2/3", **{"another checkpoint": "9"})
    with pytest.raises(DataError, match="shard 2/3 was written with another checkpoint than sh"):
        join_shards(tmp_path / "codes.jsonl")


def test_a_shard_in_the_place_of_another_or_cut_short_is_refused(write_shard, tmp_path):
    for number in (1, 2, 3):
        write_shard(f"{number}/3")
    folder = tmp_path / "codes.jsonl.shards"
    second = folder / "2-of-3.jsonl"
    before = second.read_bytes()
    second.write_bytes(before[:-9])
    with pytest.raises(DataError, match=r"2-of-3\.jsonl: was changed or cut short"):
        join_shards(tmp_path / "codes.jsonl")
    second.write_bytes(before)
    join_shards(tmp_path / "codes.jsonl")
    shutil.copy(folder / "1-of-3.jsonl", second)
    shutil.copy(folder / "_1-of-3.json", folder / "_2-of-3.json")
    with pytest.raises(DataError, match="notes are in two shards or in none"):
        join_shards(tmp_path / "codes.jsonl")
    (folder / "_2-of-3.json").write_text("{}")
    with pytest.raises(DataError, match="isn't a record of a shard"):
        join_shards(tmp_path / "codes.jsonl")


def test_shards_from_folders_of_their_own_can_be_joined(write_shard, tmp_path):
    folder, copies = tmp_path / "codes.jsonl.shards", tmp_path / "copies"
    for number in (1, 2):
        write_shard(f"{number}/2")
        shutil.copytree(folder, copies, dirs_exist_ok=True)
        shutil.rmtree(folder)
    copies.rename(folder)
    said = []
    assert join_shards(tmp_path / "codes.jsonl", on_message=said.append).notes == 41
    assert "times in the file are those of each shard" in said[0]


@pytest.mark.parametrize("large", [False, True])
def test_copies_of_notes_are_other_notes_if_they_have_another_path_or_are_large(
    write_shard, tmp_path, monkeypatch, large
):
    if large:
        monkeypatch.setattr(fingerprints, "HASHED_AT_ONCE", 10)
    notes = tmp_path / "notes.csv"
    notes.write_text("id,text\n1,Gout\n")

    def write(shard):
        write_shard(shard, **{"other notes": find_notes([str(notes)]).state})

    write("1/2")
    write("2/2")
    assert join_shards(tmp_path / "codes.jsonl").shards == 2
    there = shutil.copy2(notes, tmp_path / "there.csv")
    notes.unlink()
    os.rename(there, notes)  # another machine's copy, at the same path
    write("2/2")
    if large:
        with pytest.raises(DataError, match="was written with other notes than shard 1/2"):
            join_shards(tmp_path / "codes.jsonl")
        write("1/2")
    assert join_shards(tmp_path / "codes.jsonl").shards == 2
    notes = notes.rename(tmp_path / "other.csv")
    write("2/2")
    with pytest.raises(DataError, match="was written with other notes than shard 1/2"):
        join_shards(tmp_path / "codes.jsonl")


@pytest.mark.parametrize("name", ["codes.jsonl", "codes.parquet"])
def test_shards_of_an_object_store_are_joined_there(write_shard, write_whole, clock, memory, name):
    whole = write_whole(name)
    clock()
    folder = any_path("memory://bucket/out")
    with pytest.raises(ConfigError, match="has no shards"):
        join_shards(f"memory://bucket/out/{name}")
    for number in (2, 1, 3):
        assert write_shard(f"{number}/3", name, folder=folder)
    assert not write_shard("2/3", name, folder=folder)
    join_shards(f"memory://bucket/out/{name}")
    assert memory.cat(f"/bucket/out/{name}") == whole
    assert not any(".parts" in path or ".tmp" in path for path in memory.find("/"))


@pytest.mark.parametrize("refused", ["ls", "_open"])
def test_an_object_store_that_refuses_is_one_message(write_shard, memory, monkeypatch, refused):
    for number in (1, 2):
        write_shard(f"{number}/2", folder=any_path("memory://bucket/out"))

    def refuse(*_, **__):
        raise PermissionError("Forbidden")

    with (
        monkeypatch.context() as patch,
        pytest.raises(DataError, match=r"\.shards.*: can't be read \(access denied"),
    ):
        patch.setattr(type(memory), refused, refuse)
        join_shards("memory://bucket/out/codes.jsonl")
