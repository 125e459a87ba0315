"""The look of all figures.

Figures are made without pyplot, so that there is no display and no global state. matplotlib is
imported only when something is drawn.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from icdcli.io.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The colors of Okabe and Ito, which are distinct with any color vision; in grayscale, markers and
# dashes make the difference.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
DASHES = ("-", "--", ":", "-.")


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def label_axes(axes: "Axes", title: str, x_label: str, y_label: str) -> None:
    """Set the title and labels of a panel, its grid and its open frame."""
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def add_legend(axes: "Axes") -> None:
    """Add a legend beside a panel, so that it hides nothing."""
    axes.legend(
        fontsize="small",
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0,
    )


def note_origin(figure: "Figure", words: str) -> None:
    """Write in small gray words, below a figure, what it shows: run, data set, split."""
    figure.supxlabel(words, x=0.99, ha="right", fontsize="x-small", color="gray")


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG atomically; its folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, private=False) as temporary:
        # Without the version of matplotlib, the same values give the same bytes.
        figure.savefig(temporary, format="png", metadata={"Software": None})
