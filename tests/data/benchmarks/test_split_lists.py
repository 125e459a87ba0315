import hashlib

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from icdcli.data.benchmarks import split_lists
from icdcli.data.benchmarks.split_lists import (
    PUBLISHED,
    load_split_lists,
    published_lists,
    sha256_of,
)
from icdcli.errors import ConfigError, DataError

TRIO = ["train_50_hadm_ids.csv", "dev_50_hadm_ids.csv", "test_50_hadm_ids.csv"]
IDS, SPLITS = [11, 12, 13, 14], ["train", "val", "test", "train"]
EXPECTED = {"11": "train", "12": "validation", "13": "test", "14": "train"}


@pytest.fixture
def caml(tmp_path):
    for name, text in zip(TRIO, ("11\n14\n", "12\n", "13\n"), strict=True):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def edin(tmp_path):
    """Return a function that writes Edin's format, by default with the published name."""

    def write(ids=IDS, splits=SPLITS, name="mimiciii_50_splits.feather", columns=("_id", "split")):
        table = pa.table([pa.array(ids), pa.array(splits)], names=list(columns))
        path = tmp_path / name
        if name.endswith(".parquet"):
            pq.write_table(table, path)
        else:
            feather.write_feather(table, path)
        return path

    return write


def refused(path, says, protocol="mimic3-50"):
    with pytest.raises(DataError) as caught:
        load_split_lists(protocol, path)
    assert says in str(caught.value)


# Both formats, in any folder


def test_the_three_files_of_caml(caml):
    lists = load_split_lists("mimic3-50", caml)
    assert (lists.splits, lists.published, lists.source) == (EXPECTED, False, "CAML")
    assert lists.files == tuple(caml / name for name in TRIO)


def test_windows_line_ends_blank_lines_and_a_byte_order_mark_change_nothing(caml):
    (caml / TRIO[0]).write_bytes(b"\xef\xbb\xbf11\r\n\r\n 14 ")
    assert load_split_lists("mimic3-50", caml).splits == EXPECTED


def test_the_feather_of_edin(edin):
    path = edin()
    for place in (path, path.parent):
        lists = load_split_lists("mimic3-50", place)
        assert (lists.splits, lists.published, lists.source, lists.files) == (
            EXPECTED,
            False,
            "Edin et al.",
            (path,),
        )


@pytest.mark.parametrize("ids", [IDS, [str(id) for id in IDS], pa.array(IDS, pa.int32())])
@pytest.mark.parametrize("name", ["my.feather", "my.parquet"])
@pytest.mark.parametrize("validation", ["val", "dev", "validation", " Val "])
def test_a_file_of_ones_own(edin, ids, name, validation):
    splits = pa.array(
        [validation if split == "val" else split for split in SPLITS]
    ).dictionary_encode()
    lists = load_split_lists("mimic4-icd9", edin(ids, splits, name))
    assert (lists.splits, lists.published, lists.source) == (EXPECTED, False, name)


def test_a_csv_of_ones_own(tmp_path):
    path = tmp_path / "my.csv"
    path.write_text(
        ',"split",_id,why\r\n0,train,11,\r\n1,dev,"12","a\r\nb"\r\n2,test,13,\r\n3,train,14,\r\n'
    )
    assert load_split_lists("mimic3-clean", path).splits == EXPECTED


def test_lists_are_found_one_folder_below_but_not_deeper(caml, tmp_path):
    for depth, found in (("splits/caml", True), ("other/splits/caml", False)):
        (tmp_path / depth).mkdir(parents=True)
        for name in TRIO:
            (tmp_path / depth / name).write_bytes((caml / name).read_bytes())
        if found:
            assert (
                load_split_lists("mimic3-50", tmp_path / "splits").files[0]
                == tmp_path / "splits" / "caml" / TRIO[0]
            )
        else:
            with pytest.raises(ConfigError):
                load_split_lists("mimic3-50", tmp_path / "other")


def test_caml_comes_before_edin_where_both_are(caml, edin):
    edin([21, 22, 23], ["train", "val", "test"])
    assert load_split_lists("mimic3-50", caml).source == "CAML"


def test_a_whole_trio_below_comes_before_a_part_above(caml, tmp_path):
    (tmp_path / "below").mkdir()
    for name in TRIO:
        (tmp_path / "below" / name).write_bytes((caml / name).read_bytes())
    (caml / TRIO[1]).unlink()
    assert load_split_lists("mimic3-50", tmp_path).files[1] == tmp_path / "below" / TRIO[1]


def test_without_a_path_the_fetched_lists_are_read(caml, monkeypatch):
    monkeypatch.setattr(split_lists, "user_data_path", lambda name: caml / name)
    home = split_lists.splits_home()
    assert home == caml / "icdcode" / "splits"
    home.mkdir(parents=True)
    for name in TRIO:
        (caml / name).rename(home / name)
    assert load_split_lists("mimic3-50", None).files[0].parent == home


# Errors


def test_missing_lists_are_reported_with_their_public_addresses(tmp_path, monkeypatch):
    monkeypatch.setattr(split_lists, "user_data_path", lambda name: tmp_path / name)
    for path, state in (
        (tmp_path, "has none"),
        (tmp_path / "no", "does not exist"),
        (None, "does not exist"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_split_lists("mimic3-50", path)
        message = str(caught.value)
        assert message.startswith("protocol mimic3-50 needs split lists, and ")
        assert state in message
        assert "`icdcode splits fetch mimic3-50`" in message
        assert "splits_path=" in message
        for lists in PUBLISHED["mimic3-50"]:
            assert all(file.address in message and file.sha256 in message for file in lists.files)


def test_a_protocol_without_lists():
    with pytest.raises(
        ConfigError,
        match=r"'mimic3-5' has no published split lists \(did you mean 'mimic3-50'\?\)\. Protocols",
    ):
        load_split_lists("mimic3-5", None)


@pytest.mark.parametrize("missing", TRIO)
def test_a_missing_part_of_camls_lists(caml, edin, missing):
    edin()  # which must not be used silently
    (caml / missing).unlink()
    refused(caml, f"{missing} missing beside")


def test_one_of_camls_files_alone(caml):
    refused(
        caml / TRIO[0],
        "has no admission of validation and test. CAML's lists are three files. Give their folder",
    )


def test_an_id_in_two_splits(caml, edin):
    (caml / TRIO[2]).write_text("13\n\n11\n")
    refused(caml, f"{TRIO[2]}, line 3: HADM_ID 11 is in test and in train. Keep it in one")
    refused(edin([11, 12, 13, 12], SPLITS), "row 4: HADM_ID 12 is in train and in validation")


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_list(caml, content):
    (caml / TRIO[1]).write_text(content)
    refused(caml, f"{TRIO[1]}: is empty")


def test_an_empty_table(edin):
    refused(edin(pa.array([], pa.int64()), pa.array([], pa.string())), "is empty")


@pytest.mark.parametrize("left_out", ["train", "validation", "test"])
def test_a_split_without_ids(edin, left_out):
    word = "val" if left_out == "validation" else left_out
    kept = [(id, split) for id, split in zip(IDS, SPLITS, strict=True) if split != word]
    refused(edin(*zip(*kept, strict=True)), f"has no admission of {left_out}")


@pytest.mark.parametrize("bad", ["HADM_ID", "111912.0", "-5", "1 2", "1e5", "١٢"])
def test_an_id_that_is_no_number(caml, bad):
    (caml / TRIO[0]).write_text(f"11\n{bad}\n", encoding="utf-8")
    refused(caml, f"{TRIO[0]}, line 2: {bad!r} isn't a HADM_ID")


@pytest.mark.parametrize(
    ("ids", "says"),
    [([11, None, 13, 14], "row 2: None"), ([11.0, 12.0, 13.0, 14.0], "row 1: 11.0")],
)
def test_an_id_that_is_no_number_in_a_table(edin, ids, says):
    refused(edin(ids), f"{says} isn't a HADM_ID")


@pytest.mark.parametrize("word", ["eval", "", None])
def test_an_unknown_split(edin, word):
    refused(
        edin(splits=["train", "val", word, "test"]),
        f"row 3: {word!r} isn't a split. Write train, val or test",
    )


def test_the_line_of_a_csv_is_the_files(tmp_path):
    path = tmp_path / "my.csv"
    path.write_text('_id,split,why\n11,train,"two\nlines"\n12,dev\n13\n')
    refused(path, "my.csv, line 5: None isn't a split")


def test_a_missing_column(edin, tmp_path):
    refused(
        edin(columns=("id", "split")),
        "needs one column '_id' (did you mean 'id'?). Its columns are: id, split",
    )
    (tmp_path / "my.csv").write_text("11\n14\n")
    refused(tmp_path / "my.csv", "needs one column '_id'. Its columns are: 11")
    (tmp_path / "my.csv").write_text("")
    refused(tmp_path / "my.csv", "needs one column '_id'")


@pytest.mark.parametrize("name", ["mimiciii_50_splits.feather", "my.parquet"])
def test_a_damaged_table(edin, name):
    whole = edin(name=name).read_bytes()
    path = edin(name=name)
    for content in (
        b"",
        b"404: Not Found",
        whole[:-20],
        whole[: len(whole) // 2],
        whole.replace(b"split", b"\xff\xffit"),
    ):
        path.write_bytes(content)
        refused(path, f"{name}: is damaged")


def test_bytes_that_are_no_text(caml):
    (caml / TRIO[0]).write_bytes(b"11\n\xff\xfe\n")
    refused(caml, f"{TRIO[0]}, line 2: not UTF-8")


def test_csv_whose_quote_is_never_closed(tmp_path):
    (tmp_path / "my.csv").write_text('_id,split\n11,"train\n')
    refused(tmp_path / "my.csv", "not valid CSV")


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "lists.xlsx").write_bytes(b"PK")
    refused(
        tmp_path / "lists.xlsx",
        "isn't a split list. Give a folder of lists, or one file ending in .feather",
    )


def test_a_hash_of_what_is_not_there_or_no_file(tmp_path):
    assert sha256_of(tmp_path / "no") is None
    with pytest.raises(DataError, match="can't be read"):
        sha256_of(tmp_path)


# The published files themselves


def test_every_protocol_names_different_files_with_address_and_sum():
    files = {file for choices in PUBLISHED.values() for lists in choices for file in lists.files}
    assert (
        len(files)
        == len({file.name for file in files})
        == len({file.sha256 for file in files})
        == 11
    )
    assert all(
        file.address.startswith("https://") and file.address.endswith(f"/{file.name}")
        for file in files
    )
    assert all(len(bytes.fromhex(file.sha256)) == 32 for file in files)
    assert PUBLISHED["mimic3-full"] == PUBLISHED["mimic3-full-caml"]
    assert [published_lists(protocol)[0].source for protocol in PUBLISHED] == ["CAML"] * 3 + [
        "Edin et al."
    ] * 3


@pytest.mark.parametrize(
    ("protocol", "folder", "counts"),
    [
        ("mimic3-full", "caml", (47_723, 1_631, 3_372)),
        ("mimic3-full-caml", "caml", (47_723, 1_631, 3_372)),
        ("mimic3-full", "edin", (47_719, 1_631, 3_372)),
        ("mimic3-50", "caml", (8_066, 1_573, 1_729)),
        ("mimic3-50", "edin", (8_066, 1_573, 1_729)),
        ("mimic3-clean", "edin", (38_401, 5_577, 8_734)),
        ("mimic4-icd9", "edin", (154_542, 21_980, 32_804)),
        ("mimic4-icd10", "edin", (89_099, 13_378, 19_802)),
    ],
)
def test_the_published_lists_hold_what_the_papers_say(shared_data, protocol, folder, counts):
    lists = load_split_lists(protocol, shared_data / "splits" / folder)
    splits = list(lists.splits.values())
    assert tuple(splits.count(split) for split in ("train", "validation", "test")) == counts
    assert lists.published
    assert lists.source == {"caml": "CAML", "edin": "Edin et al."}[folder]


def test_caml_and_edin_agree_but_for_four_admissions_without_codes(shared_data):
    for protocol, only_caml in (
        ("mimic3-full", {"109963", "110220", "142890", "182252"}),
        ("mimic3-50", set()),
    ):
        caml, edin = (
            load_split_lists(protocol, shared_data / "splits" / name).splits
            for name in ("caml", "edin")
        )
        assert {id for id in caml if caml[id] != edin.get(id)} == only_caml
        assert edin.keys() <= caml.keys()
        assert {caml[id] for id in only_caml} <= {"train"}


def test_a_changed_copy_is_accepted_but_not_as_published(shared_data, tmp_path):
    for name in TRIO:
        content = (shared_data / "splits" / "caml" / name).read_bytes()
        (tmp_path / name).write_bytes(content)
    assert load_split_lists("mimic3-50", tmp_path).published
    (tmp_path / TRIO[2]).write_bytes(content + b"\n")
    assert hashlib.sha256(content).hexdigest() == PUBLISHED["mimic3-50"][0].files[2].sha256
    assert not load_split_lists("mimic3-50", tmp_path).published


def test_a_published_file_under_another_name_or_for_another_protocol(shared_data, tmp_path):
    path = tmp_path / "renamed.feather"
    path.write_bytes((shared_data / "splits" / "edin" / "mimiciii_50_splits.feather").read_bytes())
    lists, other = load_split_lists("mimic3-50", path), load_split_lists("mimic3-full", path)
    assert (lists.published, lists.source) == (True, "Edin et al.")
    assert (other.published, other.source) == (False, "renamed.feather")
