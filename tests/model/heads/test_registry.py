"""A head is known by the file that registers it, and by nothing else."""

import sys
import textwrap

import pytest
import torch

from icdcli.model import heads
from icdcli.model.heads import names
from icdcli.model.heads.names import head_names
from icdcli.model.heads.registry import make_head
from icdcli.model.section import ModelConfig

HEADS = ("mean", "weighted_mean", "bos_token", "eos_token", "label_attention")


@pytest.fixture
def new_head(tmp_path, monkeypatch):
    """Adds a head, constant logits, as one file in another folder of heads."""
    (tmp_path / "constant.py").write_text(
        textwrap.dedent("""
            import torch
            from torch import nn
            from icdcli.model.heads.registry import Head, register_head

            class Constant(Head):
                def __init__(self, labels):
                    super().__init__()
                    self.bias_L = nn.Parameter(torch.zeros(labels))
                def forward(self, hidden_TD, documents, labels=None):
                    bias_L = self.bias_L if labels is None else self.bias_L[labels]
                    return bias_L.expand(len(documents.lengths), -1)

            @register_head("constant")
            def make(width, labels, config):
                return Constant(labels)
        """)
    )
    monkeypatch.setattr(names, "_FOLDERS", [*names._FOLDERS, str(tmp_path)])
    monkeypatch.setattr(heads, "__path__", [*heads.__path__, str(tmp_path)])
    yield "constant"
    sys.modules.pop("icdcli.model.heads.constant", None)


def test_the_heads_have_their_order():
    assert head_names() == HEADS


@pytest.mark.parametrize("name", HEADS)
def test_every_head_is_made_by_its_name(name):
    head = make_head(8, 3, ModelConfig(pooling_mode=name, label_width=4))
    assert head.bias_L.shape == (3,)
    assert head.averages_neighbors == (name == "label_attention")
    weights_KS = head.attention_weights(torch.randn(5, 8), torch.tensor([2, 0]))
    assert (weights_KS is None) == (name != "label_attention")


def test_a_new_head_is_one_file(new_head):
    assert head_names() == (*HEADS[:4], new_head, HEADS[4])
    config = ModelConfig.model_construct(pooling_mode=new_head)
    assert make_head(8, 3, config).bias_L.shape == (3,)
