"""The network's output for the principal diagnosis."""

import pytest
import torch
from torch.nn import functional

from icdcli.model.batch import Segments
from icdcli.model.principal.head import PrincipalHead, principal_losses


def head(labels=5, width=8):
    torch.manual_seed(1)
    made = PrincipalHead(width, labels)
    made.start_from_rates(torch.linspace(-2, 0, labels))
    return made


def states(*lengths, width=8):
    torch.manual_seed(2)
    return torch.randn(sum(lengths), width), Segments.of(lengths)


def test_it_starts_with_what_is_known_of_the_codes():
    hidden_TD, documents = states(3, 5)
    logits_BL = torch.randn(2, 5)
    found = head()(hidden_TD, documents, logits_BL)
    expected = functional.logsigmoid(logits_BL) + torch.linspace(-2, 0, 5)
    torch.testing.assert_close(found, expected)


def test_documents_do_not_see_each_other():
    made = head()
    torch.nn.init.normal_(made.outputs_LW)
    hidden_TD, documents = states(3, 5, 5)
    logits_BL = torch.randn(3, 5)
    together = made(hidden_TD, documents, logits_BL)
    for place, (start, length) in enumerate(((0, 3), (3, 5), (8, 5))):
        alone = made(
            hidden_TD[start : start + length], Segments.of([length]), logits_BL[place : place + 1]
        )
        torch.testing.assert_close(together[place : place + 1], alone)
    assert not torch.allclose(together[1], together[2])


def test_some_labels_are_those_of_all():
    made = head()
    torch.nn.init.normal_(made.outputs_LW)
    hidden_TD, documents = states(4)
    logits_BL, some = torch.randn(1, 5), torch.tensor([1, 4])
    every = made(hidden_TD, documents, logits_BL)
    torch.testing.assert_close(made(hidden_TD, documents, logits_BL[:, some], some), every[:, some])


def test_the_training_of_codes_is_left_alone():
    made = head()
    torch.nn.init.normal_(made.outputs_LW)
    hidden_TD, documents = states(4)
    hidden_TD.requires_grad_()
    logits_BL = torch.randn(1, 5, requires_grad=True)
    principal_losses(
        made(hidden_TD, documents, logits_BL), torch.tensor([2]), None
    ).sum().backward()
    assert logits_BL.grad is None
    assert hidden_TD.grad.abs().sum() > 0
    assert all(weight.grad is not None for weight in made.parameters())


def test_documents_without_a_known_principal_diagnosis_have_no_loss():
    principal_BL = torch.randn(3, 4)
    losses_B = principal_losses(principal_BL, torch.tensor([1, -1, -2]), None)
    expected = functional.cross_entropy(principal_BL[:1], torch.tensor([1])) / 4
    assert losses_B.tolist() == pytest.approx([expected.item(), 0, 0])


def test_labels_that_are_not_learned_have_no_loss():
    learned = torch.tensor([1, 3])
    losses_B = principal_losses(torch.randn(3, 2), torch.tensor([3, 2, 0]), learned)
    assert losses_B[0] > 0
    assert losses_B[1:].tolist() == [0, 0]


def test_it_learns_what_the_words_around_a_code_say():
    torch.manual_seed(0)
    codes, marked = torch.randn(6, 8), torch.randn(8)
    gold = torch.randint(6, (200,))
    others = (gold + torch.randint(1, 6, (200,))) % 6
    # Each document has two codes, one of which has the mark of the reason for admission.
    hidden_TD = torch.stack([codes[gold] + marked, codes[others]], dim=1).flatten(0, 1)
    logits_BL = functional.one_hot(gold, 6) + functional.one_hot(others, 6) * 8.0 - 4
    documents, made = Segments.of([2] * 200), PrincipalHead(8, 6)
    optimizer = torch.optim.AdamW(made.parameters(), 0.02)
    for _ in range(100):
        optimizer.zero_grad()
        found_BL = made(hidden_TD, documents, logits_BL)
        principal_losses(found_BL, gold, None).mean().backward()
        optimizer.step()
    assert (found_BL.argmax(dim=1) == gold).float().mean() > 0.95
