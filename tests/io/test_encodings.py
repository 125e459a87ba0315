import gzip

import pytest

from icdcli.errors import DataError
from icdcli.io import byte_stream
from icdcli.io.csv_reader import Reading
from icdcli.io.encodings import python_encoding, recognized

SPANISH = (
    "Paciente de 45 años con diagnóstico de neumonía e insuficiencia cardíaca crónica. Refiere "
    "disnea. Exploración física sin hallazgos. Evolución favorable. "
)
KOREAN = "환자는 폐렴으로 입원하였으며 기침과 발열이 있었다. BP 120/80, 흉부 X선에서 침윤 소견. "
TEXTS = {
    "cp1252": (
        SPANISH * 2,
        "Le patient présente une insuffisance rénale aiguë. L'évolution a été favorable, à suivre "
        "de près ; la fièvre a cédé.",
        "Aufnahme wegen Lungenentzündung, größere Schwäche.",
        "The patient’s pressure was stable – “fine”; 38 °C, 2½ tablets, 5 µg.",
    ),
    "cp949": (KOREAN,),
}
# What Windows-1252 would silently read as something else.
OTHERS = {
    "cp1250": (
        "Pacjent przyjęty z powodu zapalenia płuc. Gorączka, kaszel i duszność. Stan średni. " * 9,
        "A beteg tüdőgyulladás miatt került felvételre. Köhögés és láz, gyógyszerek szedése. " * 9,
        "Horečka a kašel již týden. Stav se po léčbě zlepšil, propuštěn domů. " * 9,
        "Seen by Dr. Kučera. " * 9,
    ),
    "cp1251": ("Больной поступил с пневмонией. Кашель и температура. " * 9,),
    "cp1253": ("Ο ασθενής εισήχθη με πνευμονία. " * 9,),
    "cp1254": ("Hasta zatürre nedeniyle yatırıldı. Öksürük ve ateş şikayeti vardı. " * 9,),
    "cp850": (SPANISH * 9, "Röntgenaufnahme: größere Verschattung, Übelkeit. " * 9),
    "mac_roman": (SPANISH * 9,),
    "iso8859_15": ("The visit was 30 € long. " * 9,),
    "gbk": ("患者因肺炎入院，咳嗽发热一周。", "病人"),
    "cp932": ("患者は肺炎のため入院した。咳と発熱が一週間続いた。",),
    "cp1252": ("mañana", "é"),  # too little to tell
}


@pytest.mark.parametrize(
    ("encoding", "text"), [(name, text) for name, texts in TEXTS.items() for text in texts]
)
def test_western_and_korean_text_is_recognized_however_it_is_cut(encoding, text):
    content = text.encode(encoding)
    assert recognized([content]) == encoding
    assert recognized([content[at : at + 1] for at in range(len(content))]) == encoding


@pytest.mark.parametrize(
    ("encoding", "text"), [(name, text) for name, texts in OTHERS.items() for text in texts]
)
def test_no_other_text_is_taken_for_western_or_korean(encoding, text):
    assert recognized([text.encode(encoding)]) is None


def table(path, encoding, texts):
    content = "id,text\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(texts))
    raw = content.encode(encoding)
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def rows(path, **options):
    reading = Reading(**options)
    found = [row for chunk in reading.rows(path, ["id", "text"]) for row in chunk]
    return [text for _, text in found], reading


@pytest.mark.parametrize("name", ["notes.csv", "notes.csv.gz"])
@pytest.mark.parametrize(("encoding", "text"), [("cp1252", SPANISH), ("cp949", KOREAN)])
def test_a_table_is_read_in_what_its_content_shows_and_says_so(tmp_path, name, encoding, text):
    # Three pieces of ASCII come first, so that rows are yielded before anything is decided.
    texts = ["plain " * 1000] * 600 + [text] * 400
    found, reading = rows(table(tmp_path / name, encoding, texts))
    assert found == texts
    assert reading.choices == {f"encoding of {name}": f"{encoding}, which its content shows"}


def test_a_single_row_in_another_encoding_leaves_all_in_doubt(tmp_path):
    path = table(tmp_path / "notes.csv", "cp949", [KOREAN] * 9)
    path.write_bytes(path.read_bytes() + b'9,"x"\n10,"\xe9t\xe9"\n')
    with pytest.raises(DataError, match=r"notes\.csv, line 2: not UTF-8 \(byte 0x") as caught:
        rows(path)
    assert "Or set encoding=cp949 (predict: --encoding cp949)" in str(caught.value)
    with pytest.raises(DataError, match=r"notes\.csv: isn't in cp949 \(byte 0xe9\)\. Name another"):
        rows(path, encoding="cp949")


def test_utf_8_after_which_other_bytes_follow_is_never_read_as_something_else(tmp_path):
    path = table(tmp_path / "notes.csv", "utf-8", [SPANISH * 9] * 2000)
    path.write_bytes(path.read_bytes() + b'9,"ni\xf1o"\n')
    with pytest.raises(DataError, match="line 2002: not UTF-8"):
        rows(path)
    found, reading = rows(path, skip_bad_rows=True)
    assert found == [SPANISH * 9] * 2000
    assert reading.dropped.total() == 1
    assert not reading.choices


def test_utf_8_isn_t_examined_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(byte_stream, "recognized", pytest.fail)
    texts = [KOREAN, SPANISH]
    assert rows(table(tmp_path / "notes.csv", "utf-8", texts))[0] == texts


def test_a_named_encoding_is_used_and_must_fit(tmp_path):
    texts = ["mañana", "Kučera"]
    path = table(tmp_path / "notes.csv", "cp1250", texts[1:])
    found, reading = rows(path, encoding="cp1250")
    assert found == texts[1:]
    assert reading.choices == {"encoding of notes.csv": "cp1250"}
    for encoding, kind in (("cp949", "cp1252"), ("cp1252", "cp949"), ("utf-16-le", "cp1252")):
        text = "뛃" if kind == "cp949" else "mañana"
        with pytest.raises(DataError, match=rf"n\.csv: isn't in {encoding} \(byte 0x"):
            rows(table(tmp_path / "n.csv", kind, [text]), encoding=encoding)
    for encoding, kind in (("utf-16", "utf-16-le"), ("utf-7", "cp1252")):
        with pytest.raises(DataError, match=rf"n\.csv: isn't in {encoding}[ .]"):
            rows(table(tmp_path / "n.csv", kind, ["mañana"]), encoding=encoding)
    marked = table(tmp_path / "m.csv", "utf-16", texts)  # a mark says it better than a user
    assert rows(marked, encoding="cp949")[0] == texts


@pytest.mark.parametrize("name", ["notes.csv", "notes.csv.gz"])
def test_a_table_that_is_named_utf_8_is_never_recognized_as_something_else(tmp_path, name):
    path = table(tmp_path / name, "cp1252", ["plain", SPANISH * 2])
    assert rows(path)[1].choices
    with pytest.raises(DataError, match=rf"{name}, line 3: not UTF-8 \(byte 0xf1\)") as caught:
        rows(path, encoding="utf-8")
    assert "Or set encoding=cp1252 (predict: --encoding cp1252)" in str(caught.value)
    found, reading = rows(path, encoding="utf-8", skip_bad_rows=True)
    assert found == ["plain"]
    assert not reading.choices


def test_encodings_have_the_names_that_people_use():
    assert python_encoding("EUC-KR") == "cp949"
    assert python_encoding("Latin-1") == "cp1252"
    for name in ("klingon", "hex", ""):
        with pytest.raises(LookupError):
            python_encoding(name)
