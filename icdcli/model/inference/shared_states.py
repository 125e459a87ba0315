"""What views of a corpus share: hidden states and similarities that were computed for the corpus.

The backbone reads each document of a corpus once, for every fold and for a final fit. The hidden
states of a view are those of the corpus's splits, at other positions. The similarities of its
descriptions are columns of those of the corpus: beside these, a file has a hash of the vector of
each description, by which the columns are found again.

Shapes: N documents or windows, M descriptions of labels.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icdcli.data.batching import Ids
from icdcli.data.corpus.reader import Corpus
from icdcli.data.corpus.views import CorpusView
from icdcli.data.encoded_documents import EncodedDocuments, HiddenStates, JoinedRows, JoinedStates
from icdcli.io.files import replacing
from icdcli.io.npz import cache_opened, read_array
from icdcli.io.progress import Progress
from icdcli.model.heads.description_prior import DescriptionPrior
from icdcli.model.inference.computed_names import Wanted, computed_folder, reading_key
from icdcli.model.inference.precompute import SIMILARITIES, precompute
from icdcli.model.network import CodingNetwork


def precompute_splits(
    corpus: Corpus,
    splits: Mapping[str, EncodedDocuments],
    network: CodingNetwork,
    wanted: Wanted,
    corpus_prior: DescriptionPrior | None = None,
    on_progress: Progress | None = None,
) -> dict[str, EncodedDocuments]:
    """Open what is precomputed for splits of a corpus or a view, computing what is missing.

    Args:
        corpus: The corpus or view.
        splits: Split to documents.
        network: The network with the untrained backbone.
        wanted: The selection of what to compute.
        corpus_prior: For a view, a prior with the descriptions of all labels of the corpus; None:
            unknown.
        on_progress: Receives the progress.
    """
    if isinstance(corpus, CorpusView):
        return {
            split: _of_view(corpus, split, own, network, wanted, corpus_prior, on_progress)
            for split, own in splits.items()
        }
    return {
        split: precompute(corpus.folder, split, own, network, wanted, on_progress)
        for split, own in splits.items()
    }


def _of_view(
    view: CorpusView,
    split: str,
    documents: EncodedDocuments,
    network: CodingNetwork,
    wanted: Wanted,
    corpus_prior: DescriptionPrior | None,
    on_progress: Progress | None,
) -> EncodedDocuments:
    states: list[HiddenStates] = []
    cosines: list[NDArray[np.float16]] = []
    columns: list[Ids] = []
    places = []
    for source, here in view.places[split].items():
        own = _encoded(view, source, documents)
        places.append(_window_places(own, here))
        alone = replace(wanted, states=False)
        prior = None if wanted.prior is None else corpus_prior
        if prior is None and _missing(view.folder, source, own, network, alone):
            prior = wanted.prior
        # Both in one call, so that the backbone reads the documents only once.
        of_corpus = replace(wanted, prior=prior)
        found = precompute(view.folder, source, own, network, of_corpus, on_progress)
        _keep_hashes(view.folder, source, own, network, of_corpus)
        if wanted.states:
            assert isinstance(found.hidden_states, HiddenStates)
            states.append(found.hidden_states)
        if wanted.prior is not None:
            if _missing(view.folder, source, own, network, alone):  # the corpus has other codes
                precompute(view.folder, source, own, network, alone, on_progress)
                _keep_hashes(view.folder, source, own, network, alone)
            shared = _shared(view.folder, source, own, network, alone)
            assert shared is not None
            cosines.append(shared[0])
            columns.append(shared[1])
    if wanted.states:
        documents = replace(documents, hidden_states=JoinedStates.of(states, places))
    if wanted.prior is not None:
        joined = JoinedRows.of(cosines, places, columns)
        documents = replace(documents, similarities=wanted.prior.adjusted(joined))
    return documents


def _encoded(view: CorpusView, source: str, like: EncodedDocuments) -> EncodedDocuments:
    """Return the documents of a split of the corpus as those of the view are read."""
    return like.tokens.of(
        view.base.documents(source),
        like.special_tokens,
        like.max_len,
        like.chunks,
        "first" if like.windows is None else "windows",
    )


def _window_places(documents: EncodedDocuments, places: Ids) -> Ids:
    """Return the places of the windows of some documents among those of all."""
    if documents.windows is None:
        return places
    firsts_N, counts_N = documents.windows.firsts_N[places], documents.windows.counts_N[places]
    return np.concatenate(
        [np.arange(first, first + count) for first, count in zip(firsts_N, counts_N, strict=True)]
    )


def _hashes(prior: DescriptionPrior) -> NDArray[np.uint64]:
    """Return a number for each description's vector."""
    rows = prior.descriptions_MD.cpu().numpy()
    digests = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows]
    return np.frombuffer(b"".join(digests), np.uint64)


def _hashes_file(documents: EncodedDocuments, network: CodingNetwork, wanted: Wanted) -> str:
    """Return the name of the file of hashes, which changes with how documents are read."""
    return f"descriptions-{reading_key(documents, network, wanted)}.npy"


def _keep_hashes(
    corpus: Path,
    source: str,
    documents: EncodedDocuments,
    network: CodingNetwork,
    wanted: Wanted,
) -> None:
    """Write the hashes of the descriptions beside their similarities, if they aren't there yet."""
    if wanted.prior is None:
        return
    folder = corpus / computed_folder("similarities", source, documents, network, wanted)
    path = folder / _hashes_file(documents, network, wanted)
    if not path.exists():
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, _hashes(wanted.prior))


def _missing(
    corpus: Path,
    source: str,
    documents: EncodedDocuments,
    network: CodingNetwork,
    wanted: Wanted,
) -> bool:
    """Return whether similarities are wanted that no file of the corpus has."""
    if wanted.prior is None:
        return False
    return _shared(corpus, source, documents, network, wanted) is None


def _shared(
    corpus: Path,
    source: str,
    documents: EncodedDocuments,
    network: CodingNetwork,
    wanted: Wanted,
) -> tuple[NDArray[np.float16], Ids] | None:
    """Return similarities of a split of the corpus, and the columns of the descriptions."""
    assert wanted.prior is not None
    hashes_M = _hashes(wanted.prior)
    name = _hashes_file(documents, network, wanted)
    for path in sorted(corpus.glob(f"similarities-{source}-*/{name}")):
        with cache_opened(path.parent):
            stored = read_array(path)
            cosine_NM = read_array(path.parent / SIMILARITIES, mapped=True)
        order = np.argsort(stored, kind="stable")
        found_M = order[np.searchsorted(stored, hashes_M, sorter=order).clip(max=len(stored) - 1)]
        if (stored[found_M] == hashes_M).all() and len(cosine_NM) == len(documents):
            return cosine_NM, found_M
    return None
