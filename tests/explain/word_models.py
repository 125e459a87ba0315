"""Models that assign codes to single words."""

from dataclasses import replace

import torch
from transformers import BertTokenizerFast

from icdcli.data.corpus.reader import Labels
from icdcli.model.heads.label_attention import LabelAttention
from icdcli.model.heads.pooled import PooledHead
from icdcli.model.network import CodingNetwork
from icdcli.model.neural_model import NeuralModel
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold
from icdcli.model.tokenizer import special_tokens_of, train_tokenizer

CODES = ("F00", "H00", "Z00")  # fever, hematuria, nothing at all
WIDTH = 8
FEVER, HEMATURIA = "fiebre", "hematuria"
TEXT = "Mujer de 43 años 😷 con náuseas.\nNiega fiebre;\tsin más síntomas"


class Lookup(torch.nn.Module):
    """A backbone whose hidden states are the embeddings."""

    def __init__(self, vocabulary):
        super().__init__()
        self.table = torch.nn.Embedding(vocabulary, WIDTH)
        self.config = type("Settings", (), {"hidden_size": WIDTH})

    def get_input_embeddings(self):
        return self.table

    def forward(self, input_ids, attention_mask):
        return type("States", (), {"last_hidden_state": self.table(input_ids)})


def byte_pairs():
    return train_tokenizer([TEXT, f"{FEVER} {HEMATURIA} dolor", "a b c d e"] * 5, vocabulary=600)


def word_pieces():
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "hem",
        "##at",
        "##uria",
        "fie",
        "##bre",
        "nauseas",
        "sin",
        "de",
    ]
    pieces = [
        *words,
        *(
            f"{before}{letter}"
            for before in ("", "##")
            for letter in "abcdefghijklmnopqrstuvwxyz0123456789"
        ),
    ]
    return BertTokenizerFast(
        vocab={word: place for place, word in enumerate(pieces)},
        do_lower_case=True,
        strip_accents=True,
    )


def model_of(tokenizer=byte_pairs, head="mean", max_len=64, prior=None, **changes):
    """Return a model that assigns F00 to the word for fever and H00 to hematuria."""
    tokenizer = tokenizer()
    torch.manual_seed(0)
    backbone = Lookup(len(tokenizer))
    with torch.no_grad():
        backbone.table.weight.mul_(0.01)
        for word, place in ((FEVER, 0), (HEMATURIA, 1)):
            for before in ("", " "):
                ids = tokenizer(before + word, add_special_tokens=False).input_ids
                backbone.table.weight[ids, place] = 5
    if head == "label_attention":
        part = LabelAttention(WIDTH, len(CODES), WIDTH, 0.1)
        with torch.no_grad():
            for layer in (part.key, part.value):
                layer.weight.copy_(torch.eye(WIDTH))
                layer.bias.zero_()
            part.queries_LW.copy_(4 * torch.eye(WIDTH)[: len(CODES)])
            part.outputs_LW.copy_(torch.eye(WIDTH)[: len(CODES)])
    else:
        part = PooledHead(WIDTH, len(CODES), head)
        with torch.no_grad():
            part.output.weight.copy_(torch.eye(WIDTH)[: len(CODES)])
    network = CodingNetwork(backbone, part, prior=prior)
    network.requires_grad_(False)
    config = ModelConfig(
        max_len=max_len, long_notes="windows", lora_activate=False, freeze_backbone=True
    )
    labels = Labels(CODES, ("diagnosis",) * 3, (None,) * 3, (1,) * 3, (1,) * 3)
    special_tokens = special_tokens_of(tokenizer, "mean")
    model = NeuralModel(
        network.eval(),
        tokenizer,
        special_tokens,
        labels,
        config,
        Threshold(0.5),
        own_backbone=False,
    )
    return replace(model, **changes)


def words(text, spans):
    return [text[span.begin : span.end] for span in spans]
