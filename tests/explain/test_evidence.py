from dataclasses import replace

import numpy as np
import pytest
import torch
from word_models import (
    CODES,
    FEVER,
    HEMATURIA,
    TEXT,
    WIDTH,
    byte_pairs,
    model_of,
    word_pieces,
    words,
)

from icdcli.data.batching import Chunks, SpecialTokens
from icdcli.explain.evidence import evidence_finder, explain_codes
from icdcli.explain.note_reader import note_reader
from icdcli.icd.lexicon.abbreviations import Sense
from icdcli.lexical.lexical_model import LexicalModel
from icdcli.lexical.normalization.expansion import Expansion
from icdcli.lexical.normalization.spelling import Spelling
from icdcli.lexical.reading import UNCHANGED, NoteReading
from icdcli.lexical.views import Views
from icdcli.model.fusion import FoundWeights, Fusion
from icdcli.model.heads.description_prior import WINDOW, DescriptionPrior
from icdcli.model.neural_model import NeuralModel


@pytest.mark.parametrize(
    ("language", "assertion"), [("es", "negated"), ("en", "affirmed"), ("fi", None)]
)
def test_evidence_carries_what_the_note_says_of_it(language, assertion):
    model = replace(model_of(head="label_attention"), reading=NoteReading(Views(language=language)))
    (fever,) = explain_codes(model, TEXT, ["F00"])
    assert [span.assertion for span in fever.spans] == [assertion]


READING = NoteReading(
    Views(language="es"),
    Spelling.fit([], [HEMATURIA], language="es"),
    Expansion({"HMT": (Sense(HEMATURIA, "", ()),)}),
    network_expands=True,
)


@pytest.mark.parametrize("written", ["hematruia", "hemaaturia", "HMT"])
@pytest.mark.parametrize("cleaning", ["none", "caml"])
@pytest.mark.parametrize("tokenizer", [byte_pairs, word_pieces])
def test_evidence_is_the_word_as_the_note_has_it(tokenizer, cleaning, written):
    model = replace(model_of(tokenizer), reading=READING, text_cleaning=cleaning)
    text = f"Mujer de 43 años 😷, {written} y náuseas; niega dolor."
    (found,) = explain_codes(model, text, ["H00"])
    assert words(text, found.spans)[0] == written
    assert model.scores([text])[0, 1] == found.score
    plain = replace(model, reading=UNCHANGED)
    assert found.score > float(plain.scores([text])[0, 1])


@pytest.mark.parametrize("tokenizer", [byte_pairs, word_pieces])
@pytest.mark.parametrize("head", ["mean", "label_attention"])
def test_the_only_deciding_word_is_the_evidence(tokenizer, head):
    model = model_of(tokenizer, head)
    text = TEXT + ", hematuria."
    fever, hematuria = explain_codes(model, text, ["F00", "H00"])
    assert words(text, fever.spans) == [FEVER]
    assert words(text, hematuria.spans) == [HEMATURIA]
    assert min(fever.spans[0].weight, hematuria.spans[0].weight) > 0.5
    scores_L = model.scores([text])[0]
    assert (fever.code, fever.score) == ("F00", float(scores_L[0]))
    assert hematuria.score == float(scores_L[1])


@pytest.mark.parametrize("tokenizer", [byte_pairs, word_pieces])
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Ñandú, año y náuseas: fiebre.", "fiebre"),
        ("😷👩‍⚕️ fiebre 😷", "fiebre"),
        ("uno\r\n\r\n\tfiebre\n", "fiebre"),
        ("na\u0301useas fiebre", "fiebre"),
        ("«fiebre»", "fiebre"),
        ("no-fiebre alta", "no-fiebre"),
        ("\ufefffiebre", "fiebre"),
        ("fiebre", "fiebre"),
    ],
)
def test_characters_are_those_of_the_note(tokenizer, text, word):
    (found,) = explain_codes(model_of(tokenizer), text, ["F00"])
    assert words(text, found.spans)[0].endswith(word)
    assert not found.spans[0].weight < 0.3


def test_evidence_has_positions_in_the_note_before_cleaning():
    text = "İstanbul: FIEBRE, 39 grados.\nHEMATURIA"
    for cleaning in ("caml", "edin"):
        found = explain_codes(model_of(text_cleaning=cleaning), text, ["F00", "H00"])
        assert [words(text, each.spans) for each in found] == [["FIEBRE"], ["HEMATURIA"]]


def test_only_neighboring_words_become_one_span():
    text = "fiebre \n fiebre, fiebre"
    (found,) = explain_codes(model_of(), text, ["F00"])
    assert words(text, found.spans) == ["fiebre \n fiebre", "fiebre"]
    assert sum(span.weight for span in found.spans) == pytest.approx(1)


@pytest.mark.parametrize("head", ["mean", "label_attention"])
def test_a_long_note_has_its_evidence_in_the_window_of_the_highest_score(head):
    model = model_of(head=head, max_len=12)
    text = "a b c d e " * 10 + "fiebre " + "a b c d e " * 10 + "hematuria y dolor"
    fever, hematuria, nothing = explain_codes(model, text, list(CODES))
    assert words(text, fever.spans) == [FEVER]
    assert words(text, hematuria.spans) == [HEMATURIA]
    assert nothing.spans
    assert all(0 <= span.begin < span.end <= len(text) for span in nothing.spans)


@pytest.mark.parametrize("head", ["mean", "label_attention"])
def test_chunks_mark_the_same_words(head):
    text = "a b c d e " * 4 + "fiebre " + "a b c d e " * 4
    whole, chunked = (
        evidence_finder(model_of(head=head, max_len=200, chunks=chunks))(text, [0, 1])
        for chunks in (None, Chunks(12, 8))
    )
    for one, other in zip(whole, chunked, strict=True):
        assert [span[:2] for span in one] == [span[:2] for span in other]
        assert [span.weight for span in one] == pytest.approx(
            [span.weight for span in other], abs=1e-3
        )
    assert words(text, whole[0]) == [FEVER]


def test_other_requested_codes_dont_change_the_evidence():
    find = evidence_finder(model_of(head="label_attention"))
    together, alone = find(TEXT, [0, 1, 2]), [find(TEXT, [label])[0] for label in range(3)]
    assert [[span[:2] for span in spans] for spans in together] == [
        [span[:2] for span in spans] for spans in alone
    ]


@pytest.mark.parametrize("text", ["", " \n", "😷 … !", "."])
def test_notes_without_words_have_no_evidence(text):
    assert [each.spans for each in explain_codes(model_of(), text, ["F00", "Z00"])] == [(), ()]


@pytest.mark.parametrize("prior", [None, DescriptionPrior(WIDTH, [1, 1, 1])])
def test_evidence_reuses_the_windows_that_prediction_scored(prior, monkeypatch):
    model = model_of(head="label_attention", max_len=12, prior=prior)
    text = "a b c d e " * 10 + "fiebre " + "a b c d e " * 10 + "hematuria y dolor"
    (scored,) = model.score_notes([text]).windows
    passes = []
    model.network.backbone.register_forward_hook(lambda *_: passes.append(1))

    def counted(*windows):
        passes.clear()
        return evidence_finder(model)(text, [0, 1, 2], *windows), len(passes)

    again, more = counted()
    reused, fewer = counted(scored)
    assert reused == again
    assert more - fewer == 1  # one batch of windows; the prior has the same hidden states
    expected = evidence_finder(model)(text, [0, 1, 2])
    monkeypatch.setattr(NeuralModel, "window_logits", lambda *_: pytest.fail("scored again"))
    assert evidence_finder(model)(text, [0, 1, 2], scored) == expected


def test_no_codes_and_unknown_codes():
    assert explain_codes(model_of(), TEXT, []) == []
    with pytest.raises(ValueError, match="no code 'X99'"):
        explain_codes(model_of(), TEXT, ["F00", "X99"])


def test_the_most_similar_window_counts_by_the_priors_contribution():
    prior = DescriptionPrior(WIDTH, [1, 1, 1])
    prior.start_from_descriptions(torch.eye(WIDTH)[:3])
    model = model_of(head="label_attention", prior=prior)
    with torch.no_grad():
        model.network.head.outputs_LW.zero_()  # only the prior recognizes fever
    text = "a b c d e a b c d e " + " ".join([FEVER] * WINDOW) + " a b c d e"
    (window,) = note_reader(model).read(text, [0])
    _, prior = window.parts
    assert prior.added_K[0] == pytest.approx(10, abs=0.5)
    assert np.count_nonzero(prior.weights_KT) == WINDOW
    (spans,) = evidence_finder(model)(text, [0])
    assert set(" ".join(words(text, spans)).split()) == {FEVER}


def with_lexical_model(network, lexical_weight=8.0, **changes):
    """Return the model fused with n-grams that find F00 and H00 in other words."""
    fillers = "dolor tos mareo leve derecho agudo edema fractura".split()
    texts = [" ".join(fillers[(number + place) % 8] for place in range(4)) for number in range(40)]
    targets = [
        np.array([[0], [1]][number % 2] if number % 5 == 0 else [], np.int32)
        for number in range(40)
    ]
    texts = [
        f"{text} {' '.join(('calentura', 'sangre')[label] for label in own)}"
        for text, own in zip(texts, targets, strict=True)
    ]
    fusion = Fusion({"network": network, "ngrams": lexical_weight}, -3.0, "validation")
    return model_of(
        lexical=LexicalModel.fit(texts, targets, [()] * 3, parts=["ngrams"]),
        fusion=fusion,
        **changes,
    )


@pytest.mark.parametrize("cleaning", ["none", "caml"])
def test_evidence_follows_the_weights_of_the_fusion(cleaning):
    text = "Dolor, fiebre y CALENTURA; tos"
    (alone,), (together,), (hardly,) = (
        evidence_finder(with_lexical_model(network, text_cleaning=cleaning))(text, [0])
        for network in (0.0, 8.0, 1e-6)
    )
    assert words(text, alone) == words(text, hardly) == ["CALENTURA"]
    assert words(text, together) == ["fiebre", "CALENTURA"]


def test_lexical_evidence_is_found_beyond_the_networks_window():
    text = "calentura " + "a b c d e " * 10 + "fiebre " + "a b c d e " * 10
    found = evidence_finder(with_lexical_model(8.0, max_len=12))(text, [0])[0]
    assert words(text, found) == ["calentura", "fiebre"]


def test_codes_of_different_windows_have_their_own_words():
    text = "sangre " + "a b c d e " * 10 + "fiebre " + "a b c d e " * 10 + "hematuria y calentura"
    model = with_lexical_model(8.0, max_len=12)
    together = evidence_finder(model)(text, [1, 0])
    assert [words(text, spans) for spans in together] == [
        ["sangre", "hematuria"],
        ["fiebre", "calentura"],
    ]
    assert together == [evidence_finder(model)(text, [label])[0] for label in (1, 0)]


def test_the_words_of_a_history_count_for_its_code_alone():
    texts = ["Father had gout.", "Has gout.", "Father had lupus.", "Has lupus."] * 5
    targets = [np.array(labels, np.int32) for labels in ([2], [0], [], [1])] * 5
    known = {"reading": NoteReading(Views.of("facts", "en")), "histories": {"family": {2: ()}}}
    lexical = LexicalModel.fit(texts, targets, [()] * 3, parts=["ngrams"], **known)
    fusion = Fusion({"network": 0, "affirmed_ngrams": 8}, -3, "validation")
    find = evidence_finder(model_of(lexical=lexical, fusion=fusion, reading=known["reading"]))
    found = [words("Mother had gout.", spans) for spans in find("Mother had gout.", [2, 0])]
    assert "gout" in found[0] and "gout" not in found[1]


@pytest.mark.parametrize("found", [None, FoundWeights("ngrams", {"network": 5, "ngrams": 6}, -1)])
def test_each_part_counts_by_its_weight_in_the_fusion(found):
    prior = DescriptionPrior(WIDTH, [1, 1, 1])
    prior.start_from_descriptions(torch.eye(WIDTH)[:3])
    text = "a b c d e fiebre a b c d e calentura"
    for network, ngrams in ((1.0, 8.0), (3.0, 8.0), (1.0, 2.0)):
        model = with_lexical_model(network, ngrams, head="label_attention", prior=prior)
        model.fusion = replace(model.fusion, found=found)
        (window,) = note_reader(model).read(text, [0])
        *of_network, words = (part.added_K for part in window.parts)
        (alone,) = note_reader(model_of(head="label_attention", prior=prior)).read(text, [0])
        counts, also = (ngrams, 0) if found is None else (6, -1 - model.fusion.bias)
        by_words = counts * model.lexical.scores([text])["ngrams"][0, :1] + also
        by_network = [part.added_K * (5 if found else network) for part in alone.parts]
        np.testing.assert_allclose([*of_network, words], [*by_network, by_words], rtol=1e-5)


def test_what_any_word_gives_is_no_evidence():
    model, text = with_lexical_model(0.0), "dolor tos mareo leve derecho agudo edema calentura"
    (window,) = note_reader(model).read(text, [0])
    given_W = model.lexical.fitted["ngrams"].by_word(text.split(), [0])[0]
    expected_W = np.maximum(given_W - given_W.mean(), 0)
    np.testing.assert_allclose(window.weights_KW[0], expected_W / expected_W.sum(), rtol=1e-5)
    assert (given_W[:7] > 0).any()
    assert (window.weights_KW[0] == 0).sum() >= 5


@pytest.mark.parametrize("network", [0.0, 1e-9])
def test_a_network_that_does_not_count_marks_nothing(network):
    assert evidence_finder(with_lexical_model(network))("fiebre", [2]) == [()]


@pytest.mark.parametrize("text", ["calentura", "calentura, calentura"])
def test_notes_of_a_word_are_marked(text):
    assert " ".join(
        words(text, evidence_finder(with_lexical_model(0.0))(text, [0])[0])
    ) == text.replace(",", "")


def test_special_tokens_have_no_weight():
    model = model_of()
    model = replace(model, special_tokens=SpecialTokens((5, 6), (7,), 0))
    assert words(TEXT, evidence_finder(model)(TEXT, [0])[0]) == [FEVER]


@pytest.mark.parametrize("cleaning", ["none", "caml", "edin"])
@pytest.mark.parametrize("before", ["", "\r\n\t", "😷 ", "e\u0301\u0301 \u200b\ufeff", "ﬁ ½ ™ "])
def test_a_decomposed_word_is_marked_completely(cleaning, before):
    text = f"{before}Dolor, calentu\u0301ra; tos"
    find = evidence_finder(with_lexical_model(0.0, text_cleaning=cleaning))
    assert words(text, find(text, [0])[0]) == ["calentu\u0301ra"]
