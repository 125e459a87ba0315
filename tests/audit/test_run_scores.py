"""The out-of-fold scores of a run, for the documents and codes of an audit."""

from pathlib import Path

import numpy as np
import pytest
from audited_notes import audited_config, write_audited_notes

from icdcli.audit.documents import AuditDocument
from icdcli.audit.run_scores import require_same_notes, run_logits
from icdcli.cross_fitting.out_of_fold import OutOfFold
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import Corpus, Documents, Labels, open_corpus
from icdcli.data.corpus.views import corpus_of
from icdcli.errors import DataError
from icdcli.model.fusion import NETWORK
from icdcli.model.threshold import Threshold

CODES = ("E11.9", "I10", "J18.9")


def labels(*codes: str) -> Labels:
    number = len(codes)
    return Labels(codes, ("diagnosis",) * number, (None,) * number, (1,) * number, (1,) * number)


def corpus(tmp_path: object) -> Corpus:
    return Corpus(tmp_path, {"labels": {}}, labels(*CODES))


def audited(*ids: str) -> list[AuditDocument]:
    return [AuditDocument(id, None, "train", "text", frozenset({1})) for id in ids]


def scores(ids: list[str], codes: tuple[str, ...], logits: list[list[float]]) -> OutOfFold:
    logits_NL = np.array(logits, np.float32)
    targets = [np.array([codes.index("I10")], np.int32) for _ in ids]
    documents = Documents(ids, [None] * len(ids), np.arange(len(ids)), targets)
    candidates_NL = logits_NL > -20
    return OutOfFold(
        *("2-fold cross-fitting", documents, np.arange(len(ids)) % 2, labels(*codes)),
        *({NETWORK: logits_NL}, candidates_NL, Threshold(0.5), False, (), 1),
    )


def test_documents_and_codes_are_matched_by_name(tmp_path: object) -> None:
    found = scores(["b", "a"], ("I10", "E11.9"), [[1.0, -2.0], [3.0, -30.0]])
    logits_NL = run_logits(audited("a", "b"), corpus(tmp_path), found)
    assert logits_NL[:, 1].tolist() == pytest.approx([3.0, 1.0], abs=1e-3)
    assert logits_NL[1, 0] == pytest.approx(-2.0, abs=1e-3)
    least = np.log(1e-4 / (1 - 1e-4))  # the model of the fold doesn't have the code, or no model
    assert [logits_NL[0, 0], *logits_NL[:, 2]] == pytest.approx([least] * 3, abs=1e-3)


def test_a_run_of_other_notes_is_refused(tmp_path: object) -> None:
    found = scores(["a", "b"], ("I10", "E11.9"), [[1.0, 0.0], [1.0, 0.0]])
    with pytest.raises(DataError, match=r"1 of its 3 notes aren't among those .* such as c"):
        run_logits(audited("a", "b", "c"), corpus(tmp_path), found)


def test_a_run_without_gold_codes_is_refused(tmp_path: object) -> None:
    found = scores(["a", "b"], ("I10", "E11.9"), [[1.0, 0.0], [1.0, 0.0]])
    lacking = [AuditDocument("a", None, "train", "text", frozenset({2}))]
    with pytest.raises(DataError, match=r"1 of its gold codes .* such as J18\.9"):
        run_logits(lacking, corpus(tmp_path), found)


def test_notes_of_the_same_ids_with_other_texts_are_refused(tmp_path: Path) -> None:
    def prepared(text: str, name: str = "notes") -> tuple[Corpus, Corpus]:
        path = write_audited_notes(tmp_path / f"{name}.jsonl", 40, annotated=False)
        path.write_text(path.read_text(encoding="utf-8").replace("gallstones", text), "utf-8")
        config = audited_config(path, train_on="train+validation")
        folder = prepare(config.data).folder
        return open_corpus(folder), corpus_of(folder, config.data)

    corpus, of_run = prepared("gallstones")
    require_same_notes(corpus, of_run)
    copy, _ = prepared("gallstones", "copy")
    require_same_notes(copy, of_run)
    later, _ = prepared("stones")
    with pytest.raises(DataError, match=r"of its 40 notes have other texts .* such as n\d+,"):
        require_same_notes(later, of_run)
