"""The data card as a plot: document lengths, label frequencies, labels by split, chapters."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icdcli.data.sources.admission import SPLITS
from icdcli.errors import counted
from icdcli.report.plots.figures import COLORS, DASHES, MARKERS, label_axes, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panel = Callable[["Axes"], None]

_TITLE_WIDTH = 38  # characters of a chapter's title on a line
_TITLE_LINES = 2  # lines of a chapter's title
_LINE = 0.17  # inches of a small line


def corpus_png(described: Mapping[str, Any], path: Path) -> None:
    """Draw the description of a corpus.

    Args:
        described: As in `corpus_figure`.
        path: The PNG file; its folders are created, and an existing file is replaced atomically.
    """
    save_figure(corpus_figure(described), path)


def corpus_figure(described: Mapping[str, Any]) -> "Figure":
    """Return the description of a corpus: a column of lengths, one of labels and one of chapters.

    Args:
        described: The result of `icdcli.data.corpus.card.describe_corpus`. Parts that an older
            corpus lacks are left out.
    """
    columns = [
        column
        for column in (
            _lengths_column(described),
            _labels_column(described),
            _chapters_column(described),
        )
        if column
    ]
    figure = new_figure(
        5.8 * len(columns),
        max(
            0.5 + 3.3 * max(map(len, columns)),
            1.5 + _TITLE_LINES * _LINE * len(described.get("chapters", [])),
        ),
    )
    name = " · ".join(str(described[key]) for key in ("dataset", "protocol"))
    figure.suptitle(
        f"{name}: {described['documents']:,} documents",
        x=0.01,
        ha="left",
        fontweight="bold",
        fontsize="x-large",
    )
    for panels, part in zip(
        columns, figure.subfigures(1, len(columns), squeeze=False)[0], strict=True
    ):
        for panel, axes in zip(
            panels, part.subplots(len(panels), squeeze=False)[:, 0], strict=True
        ):
            panel(axes)
    return figure


def _lengths_column(described: Mapping[str, Any]) -> list[Panel]:
    caches = described["tokens"]
    parts = {"words": described.get("words"), "codes": described.get("codes")}
    parts |= {
        # Of the long name of a cache, the end differs.
        "tokens" + (f" ({cache[-8:]})" if len(caches) > 1 else ""): tokens["lengths"]
        for cache, tokens in caches.items()
    }
    return [
        partial(_lengths, quantity=quantity, parts=part) for quantity, part in parts.items() if part
    ]


def _labels_column(described: Mapping[str, Any]) -> list[Panel]:
    frequency = described["label_frequency"]
    seen = partial(_seen, labels=described["labels_by_split"])
    return [partial(_frequency, frequency=frequency), seen] if frequency["mentions"] else [seen]


def _chapters_column(described: Mapping[str, Any]) -> list[Panel]:
    return [partial(_chapters, chapters=described["chapters"])] if described.get("chapters") else []


def _lengths(axes: "Axes", quantity: str, parts: Mapping[str, Any]) -> None:
    """Draw the histogram of each split, with a triangle at its median.

    The bars are shares of the split's own documents, so that small splits are visible too.
    """
    splits = {split: parts[split] for split in SPLITS if split in parts}
    highest = 0.0
    for split, part in splits.items():
        histogram, place = part["histogram"], SPLITS.index(split)
        documents = sum(histogram["counts"])
        shares = [100 * count / documents for count in histogram["counts"]]
        label = f"{split}: ▼ median {part['p50']:,}, 95 % up to {part['p95']:,}"
        axes.stairs(
            shares,
            histogram["edges"],
            label=label,
            linewidth=1.8,
            color=COLORS[place],
            linestyle=DASHES[place],
        )
        highest = max(highest, *shares)
    for place, (split, part) in enumerate(splits.items()):
        axes.plot(
            [part["p50"]],
            [(1.05 + 0.05 * place) * highest],  # one above the other: medians may be equal
            marker="v",
            color=COLORS[SPLITS.index(split)],
            linestyle="none",
        )
    if histogram["scale"] == "log":
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axes.set_ylim(0, (1.2 + 0.12 * len(splits)) * highest)  # with space for the legend at the top
    axes.legend(loc="upper right", fontsize="small", frameon=False)
    label_axes(
        axes,
        f"{quantity.capitalize()} per document",
        quantity.split(" ")[0],
        "share of the split's documents",
    )


def _frequency(axes: "Axes", frequency: Mapping[str, Any]) -> None:
    """Draw the documents per label by rank, and the ranks that cover shares of all mentions."""
    counts = [count for count in frequency["counts"] if count]
    axes.loglog(range(1, len(counts) + 1), counts, color=COLORS[0], linewidth=2)
    bottom = 0.8 * counts[-1]
    for position, (percent, most) in enumerate(frequency["covering"].items(), 1):
        rank, color = most["labels"], COLORS[position]
        label = f"{percent} % of mentions: {counted(rank, 'label')} ({100 * most['share']:.1f} %)"
        axes.vlines(
            rank, bottom, counts[rank - 1], color=color, linestyle=DASHES[position], linewidth=1.2
        )
        axes.plot(
            [rank],
            [counts[rank - 1]],
            marker=MARKERS[position],
            color=color,
            linestyle="none",
            label=label,
            zorder=3,
        )
    axes.set_ylim(bottom=bottom)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(loc="upper right", fontsize="small", frameon=False)
    label_axes(axes, "Label frequency", "rank of the label", "documents with the label")


def _seen(axes: "Axes", labels: Mapping[str, Mapping[str, int]]) -> None:
    """Draw the number of labels per split and, dark, how many of them aren't in training."""
    for position, (split, found) in enumerate(labels.items()):
        color, new = COLORS[SPLITS.index(split)], found["unseen_in_training"]
        axes.bar(position, found["seen"], width=0.6, color=color, alpha=0.45)
        axes.bar(position, new, width=0.6, color=color)
        text = f"{found['seen']:,}" + (f" ({new:,} never)" if split != "train" else "")
        axes.annotate(
            text,
            (position, found["seen"]),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize="small",
        )
    for label, alpha in (("in training, too", 0.45), ("never in training", 1.0)):
        axes.bar(0, 0, color="gray", alpha=alpha, label=label)
    axes.legend(loc="upper right", fontsize="small", frameon=False)
    label_axes(axes, "Labels seen by split", "", "labels")
    axes.set_xticks(range(len(labels)), list(labels))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.margins(y=0.25)
    axes.grid(visible=False, axis="x")


def _chapters(axes: "Axes", chapters: Sequence[Mapping[str, Any]]) -> None:
    """Draw the number of documents with a code of each chapter, diagnoses above procedures."""
    names, colors = [], {"diagnosis": COLORS[0], "procedure": COLORS[2]}
    for place, chapter in enumerate(chapters):
        axes.barh(
            -place, chapter["documents"], color=colors.get(chapter["kind"], "gray"), alpha=0.7
        )
        axes.annotate(
            f" {chapter['documents']:,}",
            (chapter["documents"], -place),
            va="center",
            fontsize="x-small",
            annotation_clip=False,
        )
        name = f"{chapter['title']} {chapter['id'] or ''}".rstrip()
        lines = textwrap.wrap(name, _TITLE_WIDTH)
        if len(lines) > _TITLE_LINES:  # the range at its end is kept
            end = f"… {chapter['id']}" if chapter["id"] else "…"
            room = _TITLE_LINES * _TITLE_WIDTH - len(end) - _TITLE_WIDTH // 4
            lines = textwrap.wrap(chapter["title"][:room].rstrip() + end, _TITLE_WIDTH)
        names.append("\n".join(lines[:_TITLE_LINES]))
    axes.set_yticks([-place for place in range(len(chapters))], names, fontsize="x-small")
    axes.margins(x=0.1, y=0.01)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    label_axes(axes, "Chapters", "documents with a code of the chapter", "")
    axes.grid(visible=False, axis="y")
