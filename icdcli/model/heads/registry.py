"""The registry of heads: from the hidden states of documents to one logit per code.

To add a head, add one module to this folder, with a subclass of `Head` and a factory that
`register_head` registers under the module's own name:

    @register_head("label_attention")
    def label_attention(width: int, labels: int, config: ModelConfig) -> Head: ...

``pooling_mode:`` then accepts the name. Nothing else needs to know the head.

Shapes: B documents, T tokens, L labels, K some of these, D width, S hidden states of one document,
A assertion classes.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from icdcli.model.heads.names import POOLING
from icdcli.model.section import ModelConfig


class Head(nn.Module):
    """A head; its weights are float32.

    Attributes:
        averages_neighbors: Whether the head reads averages of ``state_pooling`` neighboring hidden
            states.
        bias_L: The bias of each logit.
        classes: The names of the assertion classes that the head tells from affirmed; see
            `learn_classes`. If there are any, its methods receive ``shares_TA``, the share of each
            class (`icdcli.lexical.assertion.classes.Assertion`) in each hidden state.
        half_precision: Whether the backbone computes in half precision. A head may then use faster
            operations than those of float32, if its logits are the same within 1e-3.
    """

    averages_neighbors: ClassVar[bool] = False
    bias_L: nn.Parameter
    classes: tuple[str, ...] = ()
    half_precision: bool = False

    def label_weights(self) -> list[nn.Parameter]:
        """Return the weights with a row for each label, which only this label's logit uses."""
        return [self.bias_L]

    def start_from_descriptions(self, descriptions_LD: Tensor, known_L: Tensor) -> None:
        """Start from the descriptions of the codes, if the head can; otherwise do nothing.

        Args:
            descriptions_LD: The mean of the backbone's hidden states over each code's description,
                float32.
            known_L: True if the code has a description.
        """

    def learn_classes(self, classes: Sequence[str]) -> None:
        """Add weights for assertion classes, if the head can; otherwise do nothing.

        Args:
            classes: The names of the classes.
        """

    def attention_weights(
        self, hidden_SD: Tensor, labels_K: Tensor, shares_SA: Tensor | None = None
    ) -> Tensor | None:
        """Return weights_KS, how much each code attends to each state; None: codes don't attend.

        Args:
            hidden_SD: The hidden states of one document.
            labels_K: The codes.
            shares_SA: The share of each assertion class in each state, if the head knows classes.
        """
        return None


HeadFactory = Callable[[int, int, ModelConfig], Head]
"""Makes a head for hidden states of a width, a number of labels, and the configuration."""

_FACTORIES: dict[str, HeadFactory] = {}


def register_head(*names: str) -> Callable[[HeadFactory], HeadFactory]:
    """Register a factory under the names that ``pooling_mode:`` has for its heads."""

    def register(factory: HeadFactory) -> HeadFactory:
        for name in names:
            _FACTORIES[name] = factory
        return factory

    return register


def make_head(width: int, labels: int, config: ModelConfig) -> Head:
    """Return a new head of the kind that the configuration names.

    Args:
        width: The width of the backbone's hidden states.
        labels: The number of labels.
        config: The model section of the configuration.
    """
    name = config.pooling_mode
    importlib.import_module(f"icdcli.model.heads.{'pooled' if name in POOLING else name}")
    return _FACTORIES[name](width, labels, config)
