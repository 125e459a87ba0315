"""What a head learns about assertion classes: a number per class, for all labels and for each.

A word's assertion class says if the note affirms it (`icdcli.lexical.assertion.classes`). A head
has such numbers for one purpose, for example to attend less to what is denied. Most of it is the
same for all labels, so that a label without training documents has it too; what differs, such as
the relatives' diseases that Z80 to Z84 code, is learned per label. Affirmed words are the zero of
the scale and have no number.

Shapes: T hidden states, L labels, K some of these, A all assertion classes, C those with a number.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from icdcli.lexical.assertion.classes import Assertion

CLASSES = tuple(each.label for each in Assertion if each is not Assertion.AFFIRMED)
"""The names of the classes that have a number, in the order of `Assertion`."""


class AssertionTerm(nn.Module):
    """A learned number per label and assertion class, the sum of a shared and an own one.

    Adam changes a weight by about the learning rate per step, so that a number learns faster if
    its unit is larger.

    Args:
        labels: The number of labels.
        start_C: The number that each class starts with, for all labels.
        shared_unit: The unit of the shared weights.
        own_unit: The unit of the labels' own weights. It is smaller if it has to keep labels with
            few documents at what all labels have in common.

    Attributes:
        shared_C: What all labels have in common, in units.
        own_LC: What each label has beyond that, in units; it starts at zero.
    """

    def __init__(
        self, labels: int, start_C: Sequence[float], shared_unit: float, own_unit: float
    ) -> None:
        super().__init__()
        self.shared_unit, self.own_unit = shared_unit, own_unit
        self.shared_C = nn.Parameter(torch.tensor(start_C) / shared_unit)
        self.own_LC = nn.Parameter(torch.zeros(labels, len(start_C)))

    def forward(self, labels_K: Tensor | None = None) -> Tensor:
        """Return numbers_KC of some labels; None: of all."""
        own_KC = self.own_LC if labels_K is None else self.own_LC[labels_K]
        numbers_KC: Tensor = self.shared_unit * self.shared_C + self.own_unit * own_KC
        return numbers_KC


def known_shares(classes: Sequence[str], shares_TA: Tensor | None) -> Tensor:
    """Return shares_TC, the shares of the classes that a head has numbers for.

    A head keeps its classes by name, since another version may have others. One that the head
    doesn't know counts as affirmed.

    Args:
        classes: The names of the head's classes.
        shares_TA: The share of each assertion class in each hidden state.

    Raises:
        ValueError: If there are no shares.
    """
    if shares_TA is None:
        raise ValueError("a head that knows assertion classes needs those of the hidden states")
    if tuple(classes) == CLASSES:
        return shares_TA[:, 1:]
    columns_C = torch.tensor([1 + CLASSES.index(name) for name in classes])
    return shares_TA[:, columns_C.to(shares_TA.device)]
