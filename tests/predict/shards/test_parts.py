from itertools import pairwise

import pytest

from icdcli.predict.shards.joining import join_shards
from icdcli.predict.shards.parts import shard_begins


def test_a_shard_is_not_written_twice(write_shard, tmp_path):
    assert write_shard("1/2")
    file = tmp_path / "codes.jsonl.shards" / "1-of-2.jsonl"
    before = file.stat()
    assert not write_shard("1/2")
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    file.write_text("damaged")
    assert write_shard("1/2")
    assert file.stat().st_size == before.st_size


def test_a_stopped_shard_continues_where_it_stopped(
    write_shard, write_whole, predict_codes, tmp_path
):
    coded = []

    def stop(notes, reported):
        if len(coded) == 2:
            raise ZeroDivisionError
        coded.extend(notes[:1])
        return predict_codes(notes, reported)

    def count(notes, reported):
        coded.extend(notes[:1])
        return predict_codes(notes, reported)

    with pytest.raises(ZeroDivisionError):
        write_shard("2/2", predict=stop)
    write_shard("2/2", predict=count)
    write_shard("1/2", predict=count)
    assert [note.id for note in coded[:6]] == ["21", "25", "29", "33", "37", "41"]
    assert len(coded) == 11
    join_shards(tmp_path / "codes.jsonl")
    assert (tmp_path / "codes.jsonl").read_bytes() == write_whole()


def test_other_inputs_start_a_shard_over(write_shard, tmp_path):
    write_shard("1/1")
    assert write_shard("1/1", **{"other notes": "3"})
    assert join_shards(tmp_path / "codes.jsonl").shards == 1


def test_shards_have_as_many_blocks_each_or_one_more():
    assert shard_begins([0, 4, 8, 12, 16], 17, 2) == [0, 8, 17]
    assert shard_begins([0], 3, 3) == [0, 0, 0, 3]
    for blocks in range(1, 30):
        for count in range(1, 30):
            begins = shard_begins([*range(blocks)], blocks, count)
            sizes = [end - begin for begin, end in pairwise(begins)]
            assert sum(sizes) == blocks and max(sizes) - min(sizes) <= 1


def test_a_shard_is_finished_although_another_call_has_replaced_the_plan(
    write_shard, predict_codes, tmp_path
):
    calls = []

    def begin_others(notes, reported):
        if not calls:
            calls.append(write_shard("2/4"))
        return predict_codes(notes, reported)

    assert write_shard("1/2", predict=begin_others)
    assert calls == [True]
    for path in (tmp_path / "codes.jsonl.shards").glob("*2-of-4*"):
        path.unlink()
    assert not write_shard("1/2")
    write_shard("2/2")
    join_shards(tmp_path / "codes.jsonl")
    assert len((tmp_path / "codes.jsonl").read_text().splitlines()) == 41
