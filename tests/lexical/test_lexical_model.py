import json
import stat

import numpy as np
import pytest

from icdcli.data import processes
from icdcli.data.corpus import restarting
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import Labels, open_corpus
from icdcli.data.section import DataConfig
from icdcli.errors import ResumeError
from icdcli.lexical import description_overlap, ngram_ridge, term_lexicon
from icdcli.lexical.lexical_model import LexicalModel, fit_out_of_fold
from icdcli.lexical.names import part_names
from icdcli.lexical.ngram_ridge import NgramRidge
from icdcli.lexical.normalization import definitions, spelling
from icdcli.lexical.reading import NoteReading
from icdcli.lexical.views import Views

LABELS = 8
PARTS = tuple(name for name in part_names() if name != "translations")  # English needs none


@pytest.fixture(scope="module")
def notes(synthetic_notes):
    return synthetic_notes(30, LABELS)


@pytest.fixture(scope="module")
def descriptions(notes):
    return [(name, "something else") for name in notes.names]


@pytest.fixture(scope="module")
def fitted(notes, descriptions):
    return LexicalModel.fit(notes.texts, notes.targets, descriptions, notes.annotations)


@pytest.fixture
def saved(fitted, tmp_path):
    fitted.save(tmp_path / "lexical")
    return tmp_path / "lexical"


def test_every_part_scores_every_document_and_label(fitted, notes):
    scores = fitted.scores(notes.texts[:3])
    assert tuple(scores) == PARTS
    assert {part: (matrix.shape, matrix.dtype) for part, matrix in scores.items()} == dict.fromkeys(
        PARTS, ((3, LABELS), np.float32)
    )


@pytest.mark.parametrize("part", PARTS)
def test_every_part_finds_the_code(fitted, notes, part):
    assert fitted.scores([f"so {name} then" for name in notes.names])[part].argmax(
        axis=1
    ).tolist() == list(range(LABELS))


@pytest.mark.parametrize("part", PARTS)
def test_a_part_alone_scores_as_among_others(fitted, notes, descriptions, part):
    alone = LexicalModel.fit(notes.texts, notes.targets, descriptions, notes.annotations, [part])
    assert alone.parts == (part,)
    assert np.array_equal(alone.scores(notes.texts)[part], fitted.scores(notes.texts)[part])


def test_a_fit_reports_its_parts(notes, descriptions):
    seen = []
    LexicalModel.fit(
        notes.texts,
        notes.targets,
        descriptions,
        parts=["ngrams", "evidence"],
        on_progress=lambda *report: seen.append(report),
    )
    stage = "fitting the lexical model"
    assert seen == [(stage, done, 2, "parts") for done in (0, 1, 2)]


def test_parts_without_input_are_left_out(notes):
    nothing = [()] * LABELS
    assert LexicalModel.fit(notes.texts, notes.targets, nothing).parts == ("ngrams",)
    assert LexicalModel.fit(notes.texts, notes.targets, nothing, [[]] * 30).parts == ("ngrams",)


def test_without_parts_there_are_no_scores(notes, descriptions):
    assert (
        LexicalModel.fit(notes.texts, notes.targets, descriptions, parts=()).scores(notes.texts)
        == {}
    )


def test_a_loaded_model_gives_the_same_scores(fitted, saved, notes):
    loaded, original = (
        LexicalModel.load(saved, LABELS).scores(notes.texts),
        fitted.scores(notes.texts),
    )
    assert all(np.array_equal(loaded[part], original[part]) for part in PARTS)


def test_saving_a_loaded_model_changes_no_byte(saved, tmp_path):
    LexicalModel.load(saved, LABELS).save(tmp_path / "again")
    files = sorted(path.name for path in saved.iterdir())
    assert files == sorted(["lexical.json", *(f"{part}.npz" for part in PARTS)])
    assert [(saved / name).read_bytes() for name in files] == [
        (tmp_path / "again" / name).read_bytes() for name in files
    ]


@pytest.mark.parametrize("part", PARTS)
def test_a_single_part_can_be_loaded(notes, descriptions, tmp_path, part):
    LexicalModel.fit(notes.texts, notes.targets, descriptions, notes.annotations, [part]).save(
        tmp_path
    )
    assert LexicalModel.load(tmp_path, LABELS).parts == (part,)


def test_its_files_are_private(saved):
    assert stat.S_IMODE(saved.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in saved.iterdir()} == {0o600}


@pytest.mark.parametrize("name", ["lexical.json", *(f"{part}.npz" for part in PARTS)])
@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 no archive", b"\x80\x04pickle"])
def test_a_missing_or_damaged_file_is_reported_with_its_folder(saved, name, content):
    if content is None:
        (saved / name).unlink()
    else:
        (saved / name).write_bytes(content)
    with pytest.raises(ResumeError, match="lexical: the lexical model can't be read"):
        LexicalModel.load(saved, LABELS)


def test_pickled_arrays_are_refused(saved):
    np.savez(saved / "evidence.npz", **{"weights": np.array([{}], object)})
    with pytest.raises(ResumeError, match="can't be read"):
        LexicalModel.load(saved, LABELS)


def test_another_number_of_labels_is_refused(saved):
    with pytest.raises(ResumeError, match="for 8 labels, not 1 to 4 for 9"):
        LexicalModel.load(saved, LABELS + 1)


def test_words_that_do_not_fit_the_arrays_are_refused(saved):
    about = json.loads((saved / "lexical.json").read_text())
    (saved / "lexical.json").write_text(json.dumps(about | {"strings": about["strings"][1:]}))
    with pytest.raises(ResumeError, match="can't be read"):
        LexicalModel.load(saved, LABELS)


@pytest.mark.slow
def test_scores_out_of_fold_do_not_depend_on_a_documents_labels_or_annotations(notes, descriptions):
    before = fit_out_of_fold(notes.texts, notes.targets, descriptions, notes.annotations)[1]
    targets = [*notes.targets[:4], np.array([0, 7], np.int32), *notes.targets[5:]]
    marked = [(0, " ".join(notes.texts[4].split()[:2])), (7, notes.texts[4].split()[5])]
    annotations = [*notes.annotations[:4], marked, *notes.annotations[5:]]
    after = fit_out_of_fold(notes.texts, targets, descriptions, annotations)[1]
    assert tuple(before) == PARTS
    for part in PARTS:
        np.testing.assert_allclose(after[part][4], before[part][4], atol=1e-5)
    assert all(np.abs(after[part] - before[part]).max() > 0.001 for part in ("ngrams", "evidence"))


def test_fitting_out_of_fold_gives_the_same_model(fitted, notes, descriptions):
    again = fit_out_of_fold(notes.texts, notes.targets, descriptions, notes.annotations)[0]
    before = fitted.scores(notes.texts)
    for part, scores in again.scores(notes.texts).items():
        assert np.array_equal(scores, before[part])


def test_out_of_fold_an_unannotated_document_is_scored_like_a_new_one(notes, descriptions):
    annotations = [*notes.annotations[:-1], []]
    lexical, scores = fit_out_of_fold(notes.texts, notes.targets, descriptions, annotations)
    assert np.array_equal(scores["evidence"][-1], lexical.scores(notes.texts[-1:])["evidence"][0])
    assert scores["evidence"][-1].any()


@pytest.fixture
def corpus(tmp_path, notes):
    """Return a function that prepares the notes as a corpus, with annotated codes A00 to A07."""
    path, lines = tmp_path / "notes.jsonl", []
    for row, (text, targets) in enumerate(zip(notes.texts, notes.targets, strict=True)):
        seen = [
            {
                "code": f"A0{label}",
                "begin": text.index(notes.names[label]),
                "end": text.index(notes.names[label]) + 8,
            }
            for label in targets
        ]
        split = "train" if row < 24 else "validation"
        codes = [f"A0{label}" for label in targets]
        lines.append(
            json.dumps({"id": str(row), "split": split, "text": text, "codes": codes, "seen": seen})
        )
    path.write_text("\n".join(lines) + "\n")
    return lambda **options: open_corpus(prepare(DataConfig(data_path=path, **options)).folder)


def test_a_corpus_contains_all_that_a_fit_needs(corpus):
    annotated = corpus(evidence_column="seen")
    scores = LexicalModel.of(annotated).scores(list(annotated.texts("validation")))
    assert "evidence" in scores
    assert "ngrams" in scores
    targets = annotated.documents("validation").targets_NL(len(annotated.labels))
    assert scores["evidence"][targets].mean() > 10 * scores["evidence"][~targets].mean()


def test_a_corpus_without_annotations_has_no_lexicon(corpus):
    assert "evidence" not in LexicalModel.of(corpus(), PARTS).parts


def test_without_the_lexicon_there_are_no_terms(corpus):
    with_codes = corpus(code_system="icd10")
    assert "terms" not in LexicalModel.of(with_codes).parts
    assert "terms" in LexicalModel.of(with_codes, lexicon=True).parts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "part", "floor"),
    [
        ("en", "ngrams", 0.28),
        ("en", "descriptions", 0.34),
        ("es", "descriptions", 0.265),
        ("es", "evidence", 0.63),
    ],
)
def test_on_codiesp_a_part_alone_reaches_its_documented_map(
    shared_data, tmp_path, language, part, floor
):
    from sklearn.metrics import average_precision_score

    config = DataConfig(data_path=shared_data / "codiesp", language=language, cache_dir=tmp_path)
    corpus = open_corpus(prepare(config).folder)
    scores = LexicalModel.of(corpus, [part]).scores(list(corpus.texts("validation")))[part]
    targets = corpus.documents("validation").targets_NL(len(corpus.labels))
    found = [
        average_precision_score(row, scored)
        for row, scored in zip(targets, scores, strict=True)
        if row.any()
    ]
    assert np.mean(found) > floor


@pytest.mark.parametrize("part", PARTS)
def test_every_part_attributes_a_code_to_its_words(fitted, notes, part):
    text = f"So, {notes.names[5]}: {notes.names[2]}!"
    by_part = fitted.by_word(text, [2, 5])
    assert tuple(by_part) == PARTS
    places, found = by_part[part]
    assert found.shape == (2, len(places))
    for weights_W, name in zip(found, (notes.names[2], notes.names[5]), strict=True):
        best = np.sort(np.argsort(-weights_W)[:2])
        assert [text[begin:end] for begin, end in places[best].tolist()] == name.split()


@pytest.mark.slow
def test_a_fit_in_several_processes_is_the_same(notes, monkeypatch, tmp_path):
    """Every document is read, counted, searched and compared in another process."""
    titles = [(name, f"{name} (late)") for name in notes.names]
    titles[0] = ("Family history of gouty disease", "gouty disease")
    texts = [
        f"{text}. Father had gouty plantar disease (GPD). No fever, HTN." for text in notes.texts
    ]
    labels = Labels(
        tuple(f"C{number}" for number in range(LABELS)),
        ("diagnosis",) * LABELS,
        tuple(title for title, _ in titles),
        (1,) * LABELS,
        (1,) * LABELS,
    )
    for module, name in (
        *((definitions, "_LEAST_TEXTS"), (spelling, "_LEAST_TEXTS"), (restarting, "_LEAST")),
        *((term_lexicon, "_LEAST_DOCUMENTS"), (description_overlap, "_LEAST_DOCUMENTS")),
        (ngram_ridge, "_LEAST_TEXTS"),
    ):
        monkeypatch.setattr(module, name, 2)
    fit = NgramRidge.fit.__func__
    sketched = {**fit.__kwdefaults__, "exact_documents": 0, "columns": 128}
    monkeypatch.setattr(fit, "__kwdefaults__", sketched)
    monkeypatch.setattr(restarting, "KEPT_CHARACTERS", 1_000)
    for cores in (1, 2):
        monkeypatch.setattr(processes, "cores", lambda cores=cores: cores)
        reading = NoteReading.fit(Views.of("learned", "en"), texts, labels, None)
        assert "GPD" in reading.expansion.learned
        LexicalModel.fit(
            *(texts, notes.targets, titles, None, ("descriptions", "ngrams", "terms"), reading),
            histories={"family": {0: ("gouty disease",)}},
        ).save(tmp_path / str(cores))
    alone, together = (sorted((tmp_path / str(cores)).iterdir()) for cores in (1, 2))
    assert [path.name for path in alone] == [path.name for path in together]
    assert len(alone) == 10
    for one, other in zip(alone, together, strict=True):
        assert one.read_bytes() == other.read_bytes()
