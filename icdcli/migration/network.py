"""The network of a model for another label space: its head and its description prior.

Shapes: P labels before, L labels after, N labels with training documents, M descriptions or labels
that aren't kept, D width of the backbone, K weights of a label.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from icdcli.data.relabeling import Relabeling
from icdcli.lexical.descriptions import Descriptions
from icdcli.migration.description_map import DescriptionMap
from icdcli.model.heads.description_prior import DescriptionPrior
from icdcli.model.heads.registry import Head, make_head
from icdcli.model.neural_model import NeuralModel
from icdcli.model.new_model import describe_labels
from icdcli.model.principal.head import PrincipalHead

MOST_LABELS = 2048
"""The labels, the most frequent ones, whose descriptions and weights are compared."""


def label_weight_names(head: Head | PrincipalHead) -> set[str]:
    """Return the names of the weights of an output with a row for each label."""
    weights = {id(weight) for weight in head.label_weights()}
    return {name for name, weight in head.named_parameters() if id(weight) in weights}


@torch.no_grad()
def relabel_network(model: NeuralModel, relabeling: Relabeling, sources: Descriptions) -> None:
    """Replace the head and the prior of a model's network by those of another label space.

    Args:
        model: The model, with its labels before.
        relabeling: What becomes of the labels.
        sources: The descriptions of the labels before.
    """
    network = model.network
    head = _relabeled_head(model, relabeling)
    _move(head, model, relabeling, sources)
    if network.prior is not None:
        network.prior = _relabeled_prior(network.prior, model, relabeling)
    network.head = head
    if network.principal is not None:
        network.principal = _relabeled_principal(network.principal, relabeling)


def _relabeled_principal(before: PrincipalHead, relabeling: Relabeling) -> PrincipalHead:
    """Return the output of the principal diagnosis, whose labels have the weights of their source.

    A label without a source has no output vector, and the bias of a usual label.
    """
    after = PrincipalHead(before.query.in_features, len(relabeling))
    after.to(before.bias_L.device)
    by_label, weights = label_weight_names(before), dict(after.named_parameters())
    for name, weight in before.named_parameters():
        weights[name].copy_(_rows(weight, relabeling) if name in by_label else weight)
        weights[name].requires_grad_(weight.requires_grad)
    new_L = torch.from_numpy(~relabeling.sourced_L)
    after.bias_L[new_L] = before.bias_L.median()
    return after


def _relabeled_head(model: NeuralModel, relabeling: Relabeling) -> Head:
    """Return a head whose labels have the weights of their source, and share its odds."""
    before = model.network.head
    settings: Any = model.network.backbone.config
    head = make_head(settings.hidden_size, len(relabeling), model.config)
    if before.classes:
        head.learn_classes(before.classes)
    head.to(before.bias_L.device)
    by_label = label_weight_names(before)
    after = dict(head.named_parameters())
    for name, weight in before.named_parameters():
        after[name].copy_(_rows(weight, relabeling) if name in by_label else weight)
        after[name].requires_grad_(weight.requires_grad)
    never_P = torch.tensor([not count for count in model.labels.train_counts])
    biases_P = before.bias_L.detach().cpu()
    unseen = biases_P[never_P].median() if never_P.any() else biases_P.min()
    head.bias_L[torch.from_numpy(~relabeling.sourced_L)] = unseen.to(head.bias_L)
    head.bias_L.sub_(torch.from_numpy(relabeling.shares_L).log().to(head.bias_L))
    return head


def _rows(weight_PK: Tensor, relabeling: Relabeling) -> Tensor:
    """Return the rows of each label's source; zero for labels without one."""
    sources_L = torch.from_numpy(np.maximum(relabeling.sources_L, 0)).to(weight_PK.device)
    rows_LK = weight_PK.detach()[sources_L]
    rows_LK[torch.from_numpy(~relabeling.sourced_L).to(weight_PK.device)] = 0
    return rows_LK


def _move(head: Head, model: NeuralModel, relabeling: Relabeling, sources: Descriptions) -> None:
    """Move the weights of labels that aren't kept by what their descriptions say.

    A label with a source gets the source's weights and what the difference of their descriptions
    predicts; one without gets what its description predicts.
    """
    before, network = model.network.head, model.network
    counts = model.labels.train_counts
    frequent = sorted(
        (label for label, texts in enumerate(sources) if texts and counts[label]),
        key=lambda label: (-counts[label], label),
    )[:MOST_LABELS]
    new = [label for label in relabeling.changed if relabeling.descriptions[label]]
    taken = relabeling.sources_L[new]
    needed = sorted({*frequent, *(source for source in taken.tolist() if source >= 0)})
    if not new or not frequent:
        return

    def describe(descriptions: Descriptions) -> Tensor:
        return describe_labels(model, network, descriptions).of_labels(model.config)

    place = {label: row for row, label in enumerate(needed)}
    known = describe([sources[label] for label in needed])
    known_ND = known[[place[label] for label in frequent]]
    new_MD = describe([relabeling.descriptions[label] for label in new])
    has_source = np.array([source >= 0 and bool(sources[source]) for source in taken])
    moved = [label for label, has in zip(new, has_source, strict=True) if has]
    alone = [label for label, source in zip(new, taken, strict=True) if source < 0]
    source_MD = known[[place[int(source)] for source in taken[has_source]]]
    weights, after = dict(before.named_parameters()), dict(head.named_parameters())
    for name in sorted(label_weight_names(before)):
        if weights[name].ndim != 2:
            continue
        predict = DescriptionMap.fit(known_ND, weights[name].detach()[frequent])
        after[name][moved] += predict.between(source_MD, new_MD[torch.from_numpy(has_source)])
        after[name][alone] = predict.of(new_MD[torch.from_numpy(taken < 0)])


def _relabeled_prior(
    prior: DescriptionPrior, model: NeuralModel, relabeling: Relabeling
) -> DescriptionPrior:
    """Return the prior of another label space.

    The offset of a new description, its mean similarity to the training documents, is predicted
    from those of the other descriptions.
    """
    descriptions = [relabeling.descriptions[label] for label in relabeling.changed]
    with model.untrained() as reader:
        vectors_MD = describe_labels(model, reader, descriptions).vectors_MD
    vectors_MD = functional.normalize(vectors_MD, dim=1)
    described = prior.descriptions_MD.any(dim=1)
    predict = DescriptionMap.fit(prior.descriptions_MD[described], prior.offset_M[described, None])
    offsets_M = predict.of(vectors_MD)[:, 0]
    offsets_M[~vectors_MD.any(dim=1)] = 0
    counts = [max(len(texts), 1) for texts in descriptions]
    new = zip(vectors_MD.split(counts), offsets_M.split(counts), strict=True)
    old = list(
        zip(
            prior.descriptions_MD.split(prior.counts),
            prior.offset_M.split(prior.counts),
            strict=True,
        )
    )
    vectors, offsets = zip(
        *(
            old[source] if kept else next(new)
            for source, kept in zip(
                relabeling.sources_L.tolist(), relabeling.kept_L.tolist(), strict=True
            )
        ),
        strict=True,
    )
    after = DescriptionPrior(vectors_MD.shape[1], [len(part) for part in offsets])
    after.precision = prior.precision
    after.to(prior.weight.device)
    after.descriptions_MD.copy_(torch.cat(vectors))
    after.offset_M.copy_(torch.cat(offsets))
    after.weight.copy_(prior.weight)
    after.weight.requires_grad_(prior.weight.requires_grad)
    return after
