"""Preparing a data set as a corpus, once.

The name of the corpus's folder contains a hash of the source files and of every option that changes
the result, so that a second call finds it and does nothing. It is written under another name and
renamed when it is complete. A lock lets one process at a time write it: a second one would take the
unfinished folder for that of a killed process, and delete it. The source files are hashed while
they are parsed. At the next call, small files are hashed again, and large ones are recognized by
their state (`icdcli.io.fingerprints`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from icdcli.data.benchmarks.protocols import Protocol
from icdcli.data.benchmarks.published_counts import BenchmarkCheck, compare_with_published
from icdcli.data.benchmarks.split_lists import load_split_lists, sha256_of
from icdcli.data.corpus.cleaning import CLEANERS, REVISIONS
from icdcli.data.corpus.notices import corpus_warnings
from icdcli.data.corpus.reader import CARD, FORMAT, open_corpus
from icdcli.data.corpus.writer import CorpusContent, write_card, write_corpus
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import CODES_COLUMN
from icdcli.data.sources.registry import ChosenSource, choose_source
from icdcli.errors import ConfigError, DataError
from icdcli.io.csv_reader import Reading
from icdcli.io.fingerprints import (
    HASHED_AT_ONCE,
    FileState,
    file_hash,
    file_states,
    recall_hashes,
    remember_hashes,
    source_files,
)
from icdcli.io.folders import is_writable, locked, partial_folder, publish_folder
from icdcli.io.progress import Progress

HOME = ".icdcode"
_HASH_LENGTH = 12
_READ_AS_COLUMN = {"codes_read": "as a column"}
"""The option of a table that version 0.1.0 read in another way, so that its hash differs."""


@dataclass(frozen=True)
class PreparedCorpus:
    """The result of `prepare`.

    Attributes:
        folder: The corpus's folder.
        created: False if it existed already.
        card: The content of its ``card.json``.
        changed: The source files that differ from those of an earlier corpus with the same options.
        notices: What the user must know about the choice of the source, one sentence each.
    """

    folder: Path
    created: bool
    card: dict[str, Any]
    changed: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def reads_large_files(self) -> bool:
        """Return whether source files are too large to be hashed at every call."""
        return sum(int(file["size"]) for file in self.card["sources"]) > HASHED_AT_ONCE

    @property
    def warnings(self) -> list[str]:
        """Return what the user must know about the corpus, one sentence each."""
        changed = [
            f"{table} has changed since the last corpus was prepared from it"
            for table in self.changed
        ]
        return [*changed, *self.notices, *corpus_warnings(self.card)]


def prepare(
    config: DataConfig, on_progress: Progress | None = None, *, fresh: bool = False
) -> PreparedCorpus:
    """Prepare a data set as a corpus, unless the same corpus exists.

    Args:
        config: The data set and its options.
        on_progress: Called with the progress of reading and writing.
        fresh: Compare the content of all files, also of large ones that look unchanged.

    Returns:
        The corpus; see `icdcli.data.corpus.reader.open_corpus`.

    Raises:
        ConfigError: If an option doesn't fit the data set, or no folder for the corpus can be
            written.
        DataError: If the data aren't recognized or can't be used, or the disk is full.
    """
    reading = Reading(config.chunk_size, config.skip_bad_rows, on_progress)
    chosen = choose_source(config, reading)
    protocol = chosen.protocol
    about: dict[str, Any] = {
        "dataset": chosen.dataset,
        "protocol": protocol.name,
        "options": chosen.options,
    }
    revisions = {
        "protocol": protocol.revision,
        "text_cleaning": REVISIONS.get(config.text_cleaning, 1),
    }
    # A corpus whose rules never changed keeps its hash.
    if changed_rules := {name: number for name, number in revisions.items() if number > 1}:
        about["revisions"] = changed_rules
    published_lists = False
    if protocol.is_benchmark:
        lists = load_split_lists(protocol.name, config.splits_path)
        protocol, published_lists = protocol.with_lists(lists.splits), lists.published
        about["split_lists"] = {file.name: sha256_of(file) for file in lists.files}
    base = config.path if config.path.is_dir() else config.path.parent
    states = file_states(chosen.source.files())
    home = _home(config, base)
    key = _hash({**about, "states": [state.key for state in states.values()]})
    try:
        with locked(home, key, on_progress):
            known = recall_hashes(home, states, fresh, on_progress)
            if known.keys() == states.keys():
                remember_hashes(home, states, known)
                found = _find(home, about | {"sources": source_files(known, base)}, chosen)
                if found is not None:
                    return found
            inspected: dict[str, Any] = {}
            if chosen.inspect is not None:
                inspection = chosen.inspect()
                inspected = inspection.entries
                if inspection.reads_differently:
                    about["options"] = chosen.options | _READ_AS_COLUMN
                if known.keys() == states.keys():
                    folder = _folder(home, about | {"sources": source_files(known, base)})
                    card = _intact(folder)
                    if card is not None:
                        return _accepted(folder, False, inspected | card, chosen)
            with partial_folder(home, key) as partial:
                described = "label_space" in chosen.options
                cleaner = CLEANERS[config.text_cleaning]
                content = write_corpus(
                    partial,
                    chosen.source,
                    protocol,
                    config.label_pruning,
                    described,
                    cleaner,
                    chosen.code_system,
                    "date_column" in chosen.options,
                    chosen.order,
                )
                entries = content.to_json()
                hashes = _hashes(states, reading)
                about["sources"] = source_files(hashes, base)
                remember_hashes(home, states, hashes)
                benchmark = _benchmark(protocol, reading, content, published_lists)
                if benchmark is not None:
                    entries["benchmark"] = benchmark.to_json()
                changed = _changed_since(home, about)
                folder = _folder(home, about)
                card = _intact(folder)  # the same files at another path, or with a newer time
                if card is not None:
                    return _accepted(folder, False, inspected | card, chosen)
                card = write_card(partial, {**about, **entries, **inspected})
                result = _accepted(folder, True, card, chosen, changed)
                publish_folder(partial, folder)
    except OSError as error:
        raise DataError(
            f"{home}: can't be written ({error.strerror or error}). Free space or set cache_dir."
        ) from error
    return result


def _accepted(
    folder: Path,
    created: bool,
    card: dict[str, Any],
    chosen: ChosenSource,
    changed: tuple[str, ...] = (),
) -> PreparedCorpus:
    """Return a corpus, and raise an error if it has a problem that isn't accepted."""
    if chosen.refuse is not None:
        chosen.refuse(card)
    return PreparedCorpus(folder, created, card, changed, chosen.notices)


def _find(home: Path, about: dict[str, Any], chosen: ChosenSource) -> PreparedCorpus | None:
    """Return the corpus if it exists, and if reading the source again would decide nothing.

    Raises:
        DataError: If it has a problem that isn't accepted.
    """
    options = [chosen.options]
    if chosen.inspect is not None:
        options.insert(0, chosen.options | _READ_AS_COLUMN)
    for tried in options:
        folder = _folder(home, about | {"options": tried})
        card = _intact(folder)
        # A corpus of version 0.1.0 hasn't got the entry: its source is inspected again.
        if card is not None and (chosen.inspect is None or CODES_COLUMN in card):
            return _accepted(folder, False, card, chosen)
    return None


def stored_folders(config: DataConfig) -> set[Path]:
    """Return the folders of corpora and of their caches that are on disk, of any data set."""
    base = config.path if config.path.is_dir() else config.path.parent
    return {
        folder
        for home in _homes(config, base)
        for pattern in ("*", "*/*")
        for folder in home.glob(pattern)
        if folder.is_dir()
    }


def _homes(config: DataConfig, base: Path) -> list[Path]:
    """Return the folders in which corpora may be, the preferred one first."""
    if config.cache_dir is not None:
        return [config.cache_dir]
    return [base / HOME, user_cache_path("icdcode")]


def _home(config: DataConfig, base: Path) -> Path:
    """Return the folder for corpora."""
    homes = _homes(config, base)
    home = next(filter(is_writable, homes), None)
    if home is None:
        raise ConfigError(
            f"cache_dir: {homes[-1]} can't be written. Set cache_dir to a folder of your own."
        )
    return home


def _benchmark(
    protocol: Protocol, reading: Reading, content: CorpusContent, published_lists: bool
) -> BenchmarkCheck | None:
    """Compare the corpus with the published one, if its protocol has one."""
    rows = {path.name.split(".", 1)[0]: count for path, count in reading.rows_read.items()}
    return compare_with_published(
        protocol.name, rows, content.splits, content.labels.count, published_lists
    )


def _hashes(states: Mapping[Path, FileState], reading: Reading) -> dict[Path, str]:
    """Return the hash of each source file: of the bytes that were parsed or else of the file.

    Raises:
        DataError: If a file has changed since the call began.
    """
    hashes = {
        file: reading.hashes.get(file) or state.hash or file_hash(file)
        for file, state in states.items()
    }
    now = file_states(list(states))
    changed = [
        file
        for file, state in states.items()
        if state != now[file] or state.hash not in (None, hashes[file])
    ]
    if changed:
        raise DataError(
            f"{changed[0]}: has changed while it was read. Prepare the data again when nothing "
            "writes to it."
        )
    return hashes


def _changed_since(home: Path, about: Mapping[str, Any]) -> tuple[str, ...]:
    """Describe how the source files differ from those of the last corpus with the same options."""
    cards = sorted(
        home.glob(f"{about['dataset']}-{about['protocol']}-*/{CARD}"),
        key=lambda path: path.stat().st_mtime,
    )
    for path in reversed(cards):
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            sources = {file["name"]: file for file in before["sources"]}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a damaged corpus
        if before.get("options") == about["options"]:
            now = {file["name"]: file for file in about["sources"]}
            return tuple(
                _changed(name, sources[name]["size"], now[name]["size"])
                for name in sources.keys() & now.keys()
                if sources[name]["xxh3"] != now[name]["xxh3"]
            )
    return ()


def _changed(name: str, before: int, now: int) -> str:
    return f"{name} ({f'{before:,} bytes before, {now:,} now' if before != now else 'same size'})"


def _folder(home: Path, about: Mapping[str, Any]) -> Path:
    return home / f"{about['dataset']}-{about['protocol']}-{_hash(about)}"


def _hash(about: Mapping[str, Any]) -> str:
    content = json.dumps({"format": FORMAT, **about}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:_HASH_LENGTH]


def _intact(folder: Path) -> dict[str, Any] | None:
    """Return the card of a corpus; None if it doesn't exist or is damaged."""
    if not folder.is_dir():
        return None
    try:
        return open_corpus(folder).card
    except DataError:
        return None  # it will be made again
