import numpy as np
import pytest
import torch

from icdcli.model.batch import Segments
from icdcli.model.heads import description_prior
from icdcli.model.heads.description_prior import WINDOW, DescriptionPrior

COUNTS = [2, 1, 3]


@pytest.fixture
def prior():
    torch.manual_seed(0)
    prior = DescriptionPrior(8, COUNTS, weight=2.0)
    prior.start_from_descriptions(torch.randn(sum(COUNTS), 8))
    return prior


def nearest(prior, hidden_SD):
    """Compute the similarity by its definition."""
    size = min(WINDOW, len(hidden_SD))
    windows = [
        hidden_SD[start : start + size].mean(dim=0) for start in range(len(hidden_SD) - size + 1)
    ]
    near = [
        [torch.cosine_similarity(text, window, dim=0) for window in windows]
        for text in prior.descriptions_MD
    ]
    return torch.tensor(near).amax(dim=1)


def test_a_similarity_is_the_cosine_to_the_most_similar_window_of_the_document(prior, monkeypatch):
    hidden_TD = torch.randn(24, 8)
    lengths = (15, 6, 2, 1)
    expected = torch.stack([nearest(prior, states) for states in hidden_TD.split(lengths)])
    for at_once in (4_096, 3):
        monkeypatch.setattr(description_prior, "_POSITIONS_AT_ONCE", at_once)
        torch.testing.assert_close(prior.similarities(hidden_TD, Segments.of(lengths)), expected)


def test_the_most_similar_description_counts_after_its_offset(prior):
    cosine_NM = np.random.default_rng(0).uniform(-1, 1, (5, 6)).astype(np.float16)
    prior.start_from_similarities(cosine_NM)
    less = cosine_NM - cosine_NM.astype(np.float64).mean(axis=0)
    expected = np.stack([less[:, :2].max(axis=1), less[:, 2], less[:, 3:].max(axis=1)], axis=1)
    similarities = prior.adjusted(cosine_NM)
    np.testing.assert_allclose(similarities[np.array([4, 0])], expected[[4, 0]], atol=1e-3)
    added_BL = prior(torch.from_numpy(similarities[np.arange(5)]))
    np.testing.assert_allclose(added_BL.detach().numpy(), 2 * expected, atol=2e-3)


def test_a_code_without_a_description_gets_nothing(prior):
    vectors = torch.randn(6, 8)
    vectors[2] = 0
    prior.start_from_descriptions(vectors)
    cosine_NM = prior.similarities(torch.randn(9, 8), Segments.of((9,))).half().numpy()
    prior.start_from_similarities(cosine_NM)
    assert prior.adjusted(cosine_NM)[np.array([0])][0, 1] == 0


def test_only_the_weight_is_learned(prior):
    assert [name for name, _ in prior.named_parameters()] == ["weight"]
    assert prior.counts == COUNTS


def test_the_most_similar_window_gives_the_added_amount(prior):
    for length in (30, WINDOW, 2):
        hidden_TD = torch.randn(length, 8)
        similarity_BL = torch.from_numpy(
            prior.adjusted(prior.similarities(hidden_TD, Segments.of([length])).numpy())[
                np.arange(1)
            ]
        )
        found = prior.nearest(hidden_TD, [2, 0, 1])
        torch.testing.assert_close(
            torch.tensor([added for added, _ in found]), prior(similarity_BL)[0, [2, 0, 1]]
        )
        for label, (added, place) in zip([2, 0, 1], found, strict=True):
            alone = prior.nearest(hidden_TD[place : place + WINDOW], [label])
            assert alone == [(pytest.approx(added, abs=1e-5), 0)]
