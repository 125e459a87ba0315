import pyarrow.parquet
import pytest

from icdcli.config.loading import load_config
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import DOCUMENTS
from icdcli.data.section import DataConfig
from icdcli.errors import ConfigError, DataError

KOREAN = "환자는 폐렴으로 입원하였으며 기침과 발열이 있었다. 흉부 촬영에서 침윤 소견. 환자 번호 {}."


def korean_table(path, texts):
    rows = [f"{text},J18.9\n" for text in texts]
    path.write_bytes(("text,codes\n" + "".join(rows)).encode("cp949"))
    return path


def test_a_table_in_cp949_is_trained_on_as_written_and_the_card_says_so(tmp_path):
    texts = [KOREAN.format(number) for number in range(20)]
    path = korean_table(tmp_path / "notes.csv", texts)
    prepared = prepare(DataConfig(data_path=path))
    assert prepared.card["choices"] == {"encoding of notes.csv": "cp949, which its content shows"}
    found = pyarrow.parquet.read_table(prepared.folder / DOCUMENTS, columns=["text"])
    assert sorted(found["text"].to_pylist()) == sorted(texts)


def test_a_table_in_doubt_is_an_error_until_its_encoding_is_named(tmp_path):
    short = korean_table(tmp_path / "short.csv", ["폐렴", "기침"])
    with pytest.raises(DataError, match="Or set encoding=cp949"):
        prepare(DataConfig(data_path=short))
    named = prepare(DataConfig(data_path=short, encoding="euc-kr"))
    assert named.card["options"]["encoding"] == "cp949"
    assert named.card["choices"] == {"encoding of short.csv": "cp949"}


def test_an_unknown_encoding_is_refused_in_the_configuration():
    with pytest.raises(ConfigError, match=r"encoding.*should be an encoding, such as cp1252"):
        load_config(None, ["encoding=klingon"])
