import pytest
import torch
from torch.nn import functional

from icdcli.training.losses import disagreement, training_losses
from icdcli.training.section import TrainConfig


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.randn(3, 5) * 3, (torch.rand(3, 5) < 0.4).float()


def loss(batch, **options):
    return training_losses(*batch, TrainConfig(**{"pos_weight": 1, **options}))


def test_cross_entropy_is_the_mean_over_the_labels_positives_weighted(batch):
    expected = functional.binary_cross_entropy_with_logits(
        *batch, pos_weight=torch.tensor(5.0), reduction="none"
    ).mean(dim=1)
    torch.testing.assert_close(loss(batch, pos_weight=5), expected)


@pytest.mark.parametrize("name", ["focal", "asl"])
def test_without_gamma_and_margin_every_loss_is_cross_entropy(batch, name):
    torch.testing.assert_close(
        loss(batch, loss=name, loss_gamma=0, loss_margin=0), loss(batch), rtol=1e-5, atol=1e-6
    )


def test_focal_loss_is_its_formula(batch):
    p = torch.sigmoid(batch[0])
    right = torch.where(batch[1] > 0, p, 1 - p)
    torch.testing.assert_close(
        loss(batch, loss="focal", loss_gamma=2), (-((1 - right) ** 2) * right.log()).mean(dim=1)
    )


def test_asymmetric_loss_is_its_formula(batch):
    logits, targets = batch
    p = torch.sigmoid(logits)
    shifted = (p - 0.1).clamp(min=0)
    expected = torch.where(targets > 0, -p.log(), -(shifted**4) * (1 - shifted).log())
    torch.testing.assert_close(
        loss(batch, loss="asl", loss_gamma=4, loss_margin=0.1), expected.mean(dim=1)
    )


def test_smoothing_moves_targets_towards_one_half(batch):
    smooth = batch[0], 0.8 * batch[1] + 0.1
    torch.testing.assert_close(loss(batch, label_smoothing=0.2), loss(smooth))


@pytest.mark.parametrize("name", ["bce", "focal", "asl"])
def test_certainty_has_finite_gradients(name):
    logits = torch.tensor([[-90.0, 90.0, -90.0, 90.0]], requires_grad=True)
    loss((logits, torch.tensor([[0.0, 0.0, 1.0, 1.0]])), loss=name).sum().backward()
    assert logits.grad.isfinite().all()


def test_disagreement_is_the_divergence_both_ways(batch):
    first, second = batch[0], batch[0].flip(0)
    p, q = torch.sigmoid(first), torch.sigmoid(second)

    def divergence(p, q):
        return p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()

    expected = ((divergence(p, q) + divergence(q, p)) / 2).mean(dim=1)
    torch.testing.assert_close(disagreement(first, second), expected, rtol=1e-4, atol=1e-5)
    assert disagreement(first, first).abs().max() == 0
