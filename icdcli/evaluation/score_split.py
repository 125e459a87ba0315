"""Score one split of a corpus with a trained coder.

Shapes: N documents, L labels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.reader import Corpus, Documents
from icdcli.data.token_cache import Nearness, token_cache
from icdcli.errors import DataError
from icdcli.io.progress import Progress
from icdcli.model.checkpoint import NeuralModel
from icdcli.model.fusion import NETWORK, probabilities
from icdcli.model.packing import choose_padding
from icdcli.model.precompute import nearness_of, with_known
from icdcli.model.scoring import Scored, score_documents
from icdcli.model.tfidf_model import TfidfModel
from icdcli.model.untrained import untrained

_WORDS_AT_ONCE = 256


@dataclass(frozen=True)
class SplitScores:
    """A coder's scores on a split.

    Attributes:
        documents: The split's documents, with their gold labels.
        scores_NL: Each code's probability.
        losses_N: Each document's loss, positives not weighted.
    """

    documents: Documents
    scores_NL: NDArray[np.float32]
    losses_N: NDArray[np.float64]


@dataclass(frozen=True)
class SplitParts:
    """What each part of a coder says of a split.

    Attributes:
        documents: The split's documents, with their gold labels.
        parts: The network's logits and what words alone say, each (N, L).
        nearness: How near the labels' descriptions come, where the network has a prior.
        losses_N: Each document's loss by the network alone, positives not weighted.
    """

    documents: Documents
    parts: dict[str, NDArray[np.float32]]
    nearness: Nearness | None
    losses_N: NDArray[np.float64]


def score_split(
    model: NeuralModel | TfidfModel,
    corpus: Corpus,
    split: str,
    on_progress: Progress | None = None,
    only: Sequence[int] | None = None,
    state_cache_gb: float = 20,
) -> SplitScores:
    """Score a split's documents; see `split_parts`."""
    if isinstance(model, TfidfModel):
        return _score_words(model, corpus, split, on_progress, only)
    found = split_parts(model, corpus, split, on_progress, only, state_cache_gb)
    return SplitScores(found.documents, probabilities(found.parts, model.fusion), found.losses_N)


def split_parts(
    model: NeuralModel,
    corpus: Corpus,
    split: str,
    on_progress: Progress | None = None,
    only: Sequence[int] | None = None,
    state_cache_gb: float = 20,
) -> SplitParts:
    """Score a split's documents, each part of the coder for itself.

    Args:
        model: The trained coder.
        corpus: The corpus it was trained on.
        split: ``train``, ``validation`` or ``test``.
        on_progress: Told how far it is.
        only: Positions in the split to score; None: all.
        state_cache_gb: The most that a frozen backbone's states may take on the disk, to be there the next time.

    Raises:
        ConfigError: When the split has no documents.
        DataError: When the corpus has another label space than the coder.
    """
    documents = _documents(model, corpus, split, only)
    tokens = token_cache(corpus.folder, model.tokenizer.backend_tokenizer, on_progress)
    scored = Scored.empty(len(documents), len(model.labels))
    choose_padding(model.network, "auto")
    encoded = model.encoded(tokens, documents)
    if only is None:
        encoded = with_known(model, corpus.folder, {split: encoded}, state_cache_gb, on_progress)[
            split
        ]
    elif model.network.prior is not None:
        with untrained(model) as reader:
            encoded = replace(encoded, nearness=nearness_of(reader, model.network.prior, encoded))
    for done in score_documents(model.network, encoded, scored):
        if on_progress is not None:
            on_progress(f"scoring the {split} split", done, len(documents))
    parts = {NETWORK: scored.logits_NL}
    if model.lexical is not None:
        parts |= model.lexical.scores(list(_texts(corpus, split, only)))
    return SplitParts(documents, parts, encoded.nearness, scored.losses_N)


def _documents(
    model: NeuralModel | TfidfModel, corpus: Corpus, split: str, only: Sequence[int] | None
) -> Documents:
    if corpus.labels.codes != model.labels.codes:
        raise DataError(
            f"{corpus.folder.name}: its label space ({len(corpus.labels)} codes) is not the one that the coder was trained on "
            f"({len(model.labels)} codes); prepare the data with the options of the run's args.yaml"
        )
    documents = corpus.documents(split)
    return documents if only is None else documents.take(only)


def _score_words(
    model: TfidfModel,
    corpus: Corpus,
    split: str,
    on_progress: Progress | None,
    only: Sequence[int] | None,
) -> SplitScores:
    """Score a split with a baseline, some documents at a time."""
    documents = _documents(model, corpus, split, only)
    scored = Scored.empty(len(documents), len(model.labels))
    texts = iter(_texts(corpus, split, only))
    for start in range(0, len(documents), _WORDS_AT_ONCE):
        logits_BL = model.logits(list(islice(texts, _WORDS_AT_ONCE)))
        rows = slice(start, start + len(logits_BL))
        scored.logits_NL[rows] = logits_BL
        gold_B = [
            logits_L[gold].sum(dtype=float)
            for logits_L, gold in zip(logits_BL, documents.targets[rows], strict=True)
        ]
        scored.losses_N[rows] = (
            np.logaddexp(0, logits_BL, dtype=float).sum(axis=1) - gold_B
        ) / logits_BL.shape[1]
        if on_progress is not None:
            on_progress(f"scoring the {split} split", rows.stop, len(documents))
    return SplitScores(documents, probabilities({NETWORK: scored.logits_NL}, None), scored.losses_N)


def _texts(corpus: Corpus, split: str, only: Sequence[int] | None) -> Iterable[str]:
    if only is None:
        return corpus.texts(split)
    wanted = {
        position: text for position, text in enumerate(corpus.texts(split)) if position in set(only)
    }
    return [wanted[position] for position in only]


def unusable(scores_NL: NDArray[np.float32], ids: Sequence[str]) -> str:
    """The first documents that have a score that is NaN or infinite, by their ids; nothing where there are none."""
    rows = np.flatnonzero(~np.isfinite(scores_NL.sum(axis=1)))
    return ", ".join(ids[row] for row in rows[:5]) + (
        f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    )
