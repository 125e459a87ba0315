"""What descriptions say about weights is found again, and noise isn't."""

import pytest
import torch

from icdcli.migration.description_map import LEAST_LABELS, DescriptionMap


@pytest.fixture
def random():
    return torch.Generator().manual_seed(0)


def test_a_linear_function_is_found_again(random):
    descriptions = torch.randn(200, 12, generator=random)
    slopes, offset = torch.randn(12, 5, generator=random), torch.randn(5, generator=random)
    found = DescriptionMap.fit(descriptions, descriptions @ slopes + offset)
    assert found.explained > 0.999
    new = torch.randn(3, 12, generator=random)
    torch.testing.assert_close(found.of(new), new @ slopes + offset, atol=0.05, rtol=0.05)
    between = found.between(new[:1], new[1:])
    torch.testing.assert_close(between, (new[1:] - new[:1]) @ slopes, atol=0.05, rtol=0.05)


def test_weights_that_have_nothing_to_do_with_descriptions_move_nothing(random):
    descriptions = torch.randn(200, 12, generator=random)
    weights = torch.randn(200, 5, generator=random)
    found = DescriptionMap.fit(descriptions, weights)
    assert found.explained < 0.05
    moved = found.between(descriptions[:1], descriptions[1:2]).norm()
    assert moved < 0.05 * weights.norm(dim=1).mean()
    torch.testing.assert_close(found.of(descriptions[:1])[0], weights.mean(dim=0), atol=0.1, rtol=0)


def test_few_labels_say_nothing(random):
    descriptions = torch.randn(LEAST_LABELS - 1, 4, generator=random)
    found = DescriptionMap.fit(descriptions, descriptions @ torch.randn(4, 2, generator=random))
    assert found.explained == 0
    assert not found.between(descriptions[:1], descriptions[1:]).any()


def test_equal_weights_are_predicted_without_a_warning(random):
    descriptions = torch.randn(40, 4, generator=random)
    found = DescriptionMap.fit(descriptions, torch.ones(40, 2))
    torch.testing.assert_close(found.of(descriptions), torch.ones(40, 2))
