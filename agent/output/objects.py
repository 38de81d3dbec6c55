"""How records show themselves: as a card in a notebook or terminal, as a table, as a plot.

The records are at the bottom of the house and know nothing of this room; it hands them its
functions when the package's names are first used.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from kuleshov.tools.errors import KuleshovError
from kuleshov.types import VIEWS, Inference, Person

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

WIDTH = 92
STYLE = "white-space:pre;overflow-x:auto;line-height:1.35;font-family:monospace"
PRE = f'<pre style="{STYLE}">{{code}}</pre>'
MISSING = "run `pip install 'kuleshov[analysis]'`"


def attach_views() -> None:
    """Give the records their views."""
    VIEWS.update(html=card_html, show=show_card, pandas=people_table, plot=plot_people)


def card_html(inference: Inference) -> str:
    """The whole card as HTML; all text of models and users is escaped."""
    from rich.console import Console

    from kuleshov.output.card import print_card

    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    print_card(inference, console)
    return console.export_html(inline_styles=True, code_format=PRE)


def show_card(inference: Inference) -> None:
    """In a notebook the card, else the card on the terminal."""
    from kuleshov.output.card import print_card
    from kuleshov.output.terminal import make_console

    try:
        from IPython import get_ipython
    except ImportError:
        shell: Any = None
    else:
        shell = get_ipython()
    if shell is not None and shell.has_trait("kernel"):
        from IPython.display import HTML, display

        display(HTML(card_html(inference)))
        return
    print_card(inference, make_console())


def people_table(inference: Inference) -> pandas.DataFrame:
    """One row a person, with the columns of `kuleshov export --to csv`."""
    try:
        import pandas
    except ImportError:
        raise KuleshovError(f"a table needs pandas: {MISSING}.") from None
    from kuleshov.output.exports.table import record_rows

    rows = [row for row in record_rows(inference.to_dict()) if "person" in row]
    return pandas.DataFrame(rows)


def plot_people(record: Inference | Person, axes: Axes | None = None) -> Axes:
    """Bars of the probabilities of each person's labels.

    Args:
        axes: matplotlib axes to draw into; None: new ones.

    Raises:
        KuleshovError: matplotlib is not installed; nobody has a reading.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise KuleshovError(f"a plot needs matplotlib: {MISSING}.") from None
    people = record.people if isinstance(record, Inference) else (record,)
    read = [person for person in people if person.emotions is not None]
    if not read:
        raise KuleshovError("nobody has a reading that could be drawn.")
    if axes is None:
        axes = plt.subplots(layout="constrained")[1]
    labels = list(dict.fromkeys(k for p in read for k in p.emotions.probabilities))  # type: ignore[union-attr]
    height = 0.8 / len(read)
    for place, person in enumerate(read):
        known = person.emotions.probabilities  # type: ignore[union-attr]
        at = [i + place * height for i in range(len(labels))]
        values = [known.get(label, float("nan")) for label in labels]
        axes.barh(at, values, height, label=f"person {person.id}")
    axes.set_yticks([i + 0.4 - height / 2 for i in range(len(labels))], labels)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="probability (perceived)")
    if len(read) > 1:
        axes.legend(frameon=False)
    return axes
