"""Which contexts go with which expressions and units, over an annotated run.

In the spirit of Cowen et al. (2021, Nature 589:251), who asked in which contexts sixteen facial
expressions occur: every context variable against every outcome, with an interval, corrected for
the number of tests. The statistics are scipy's and statsmodels'.

Faces of one picture, or of one person, are not independent: where they repeat, intervals and
probabilities are by a jackknife that leaves out one group at a time, with Student's t of one degree
of freedom less than there are groups (CV3 of MacKinnon, Nielsen & Webb 2023, Cluster-robust
inference: a guide to empirical practice, J. Econometrics 232, 272-299). Shares that sum to 1 (the
labels of an expression, the options of a category) are taken as centred log-ratios (Aitchison 1986,
The Statistical Analysis of Compositional Data): one share's rise alone is the others' fall.
Tests of variables that hang together are corrected after Benjamini & Yekutieli (2001, Annals of
Statistics 29, 1165-1188), whose rate holds under any dependence.

A reading that was made from face and context together has seen the context: against it an
association is partly made by the model itself, and it is marked so (`shares_context`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kuleshov.inputs import items
from kuleshov.output import coded_table
from kuleshov.runs import store
from kuleshov.tools.errors import KuleshovError
from kuleshov.types import Inference, Person

if TYPE_CHECKING:
    import pandas as pd

Outcomes = Literal["face", "units", "reading"]
OUTCOMES: tuple[Outcomes, ...] = ("face", "units", "reading")
CORRECTIONS = ("fdr_bh", "fdr_by", "holm", "bonferroni")
LEAST = 10
"""Faces with both values; with fewer an interval says nothing."""
LEAST_GROUPS = 5
"""Groups with both values: with fewer, how much they differ is not known."""
LEAST_SHARE = 0.001  # below it a share is taken as this, as it has no logarithm at 0: our choice
COLUMNS = (
    "context",
    "outcome",
    "shares_context",
    "n",
    "groups",
    "grouped_by",
    "method",
    "estimate",
    "ci_low",
    "ci_high",
    "p",
    "p_corrected",
    "correction",
    "unanswered",
)
MISSING = "pandas, scipy, statsmodels and seaborn: run `pip install 'kuleshov[analysis]'`"


def read_run(run: str) -> Iterable[Inference]:
    """The records of a run directory. Raises KuleshovError if it is none, or holds no records."""
    if not Path(run).is_dir():
        raise KuleshovError(f"there is no run directory {run}.")
    found = False
    for line in store.read_lines(run):
        found = True
        yield Inference.from_json(line)
    if not found:
        raise KuleshovError(f"{run} holds no annotations ({store.ANNOTATIONS}).")


def build_frame(
    inferences: Iterable[Inference], outcomes: Sequence[Outcomes], group: str
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """A row a person, and the names of its context columns and of its outcome columns.

    Args:
        inferences: with coded context.
        outcomes: face (the face tool's expression), units, reading (the fused distribution).
        group: "media", or a column that the manifest carried along ("video", "person"); "auto":
            the first of `items.REPEATED` that every item has, else media.

    Raises:
        KuleshovError: nothing was coded, nobody has an outcome, or no item has the column.
    """
    pandas = _import_libraries()[0]
    rows: list[dict[str, Any]] = []
    contexts: dict[str, None] = {}
    results: dict[str, None] = {}
    coded = grouped = False
    if group == "auto":
        inferences = list(inferences)
        group = _group_of(inferences)
    for inference in inferences:
        coded = coded or inference.coded is not None
        name: Any = inference.media.sha256
        if group != "media":
            name = inference.item.extra.get(group) if inference.item else None
        grouped = grouped or name is not None
        for person in inference.people:
            seen = coded_table.of_person(inference, person)
            shown = _person_outcomes(person, outcomes)
            contexts |= dict.fromkeys(seen)
            results |= dict.fromkeys(shown)
            rows.append({"group": name, **{f"context: {k}": v for k, v in seen.items()}, **shown})
    if not coded:
        raise KuleshovError(
            "the run has no coded context: annotate with --scheme default (or one of your own)."
        )
    if not grouped:
        raise KuleshovError(f"no item of the run has the column {group!r} to group by.")
    if not contexts or not results:
        raise KuleshovError(
            f"the run has no person with {'a coded variable' if not contexts else 'an outcome'}."
        )
    data = pandas.DataFrame(rows).dropna(subset=["group"])
    data.attrs["grouped_by"] = group
    return data, [f"context: {name}" for name in contexts], list(results)


def _group_of(inferences: Sequence[Inference]) -> str:
    """The column that tells whose faces repeat; media where no column tells it of every item."""
    extras = [inference.item.extra if inference.item else {} for inference in inferences]
    for name in items.REPEATED:
        if extras and all(extra.get(name) not in (None, "") for extra in extras):
            return name
    return "media"


def _person_outcomes(person: Person, wanted: Sequence[Outcomes]) -> dict[str, float]:
    found: dict[str, float] = {}
    face = person.face
    if "face" in wanted and face is not None and face.expression is not None:
        found |= {f"face: {label}": p for label, p in face.expression.probabilities.items()}
    if "units" in wanted and face is not None:
        for unit in face.action_units:
            if unit.value is not None and not unit.weak:
                side = "" if unit.side == "both" else f" {unit.side}"
                found[f"AU{unit.unit}{side}"] = unit.value
    if "reading" in wanted and person.emotions is not None:
        found |= {f"reading: {k}": p for k, p in person.emotions.probabilities.items()}
    return found


def measure_associations(
    data: pd.DataFrame,
    contexts: Sequence[str],
    outcomes: Sequence[str],
    *,
    mixed: bool = False,
    correction: str = "fdr_by",
) -> pd.DataFrame:
    """Every context column against every outcome column: one row each, with `COLUMNS`.

    Pearson's r with its 95 % interval (Fisher's z). Where groups have several faces, interval and p
    are by the jackknife over groups. `mixed`: the standardised slope of a linear model with a
    random intercept for each group (restricted maximum likelihood), with its Wald interval, on as
    many degrees of freedom as groups leave. Columns whose shares sum to 1 are taken as log-ratios.
    Probabilities are corrected together, over all tests that could be made.
    """
    pandas = _import_libraries()[0]
    from statsmodels.stats.multitest import multipletests

    if correction not in CORRECTIONS:
        raise KuleshovError(
            f"there is no correction {correction!r}; known: {', '.join(CORRECTIONS)}."
        )
    by = data.attrs.get("grouped_by", "group")
    data, ratios = log_ratios(data, [*contexts, *outcomes])
    rows = []
    for context in contexts:
        for outcome in outcomes:
            pair = data[["group", context, outcome]].dropna()
            found = _measure_pair(pair, context, outcome, mixed)
            if {context, outcome} & ratios:
                found["method"] += ", shares as log-ratios"
            rows.append(
                {
                    "context": context.removeprefix("context: "),
                    "outcome": outcome,
                    "shares_context": outcome.startswith("reading: "),
                    "n": len(pair),
                    "groups": int(pair["group"].nunique()),
                    "grouped_by": by,
                    **found,
                }
            )
    table = pandas.DataFrame(rows).reindex(columns=list(COLUMNS))
    for name in ("estimate", "ci_low", "ci_high", "p", "p_corrected"):
        table[name] = table[name].astype(float)
    tested = table["p"].notna()
    if tested.any():
        table.loc[tested, "p_corrected"] = multipletests(table.loc[tested, "p"], method=correction)[
            1
        ]
    table["correction"] = correction
    return table


def log_ratios(data: pd.DataFrame, columns: Sequence[str]) -> tuple[pd.DataFrame, set[str]]:
    """The table with its shares as centred log-ratios, and which columns they are.

    Columns belong together whose names are equal up to the last colon ("face: anger", "face: fear";
    "context: place: home"); they are shares where no value is negative and every row sums to 1.
    """
    import numpy as np

    blocks: dict[str, list[str]] = {}
    for name in columns:
        stem, colon, _ = name.rpartition(": ")
        if colon and stem != "context":
            blocks.setdefault(stem, []).append(name)
    changed = data.copy()
    ratios: set[str] = set()
    for names in blocks.values():
        known = data[names].dropna().to_numpy(float)
        if len(names) < 2 or not len(known) or known.min() < 0:
            continue
        if np.abs(known.sum(axis=1) - 1).max() > 1e-3:
            continue
        logs = np.log(data[names].astype(float).clip(lower=LEAST_SHARE))
        changed[names] = logs.sub(logs.mean(axis=1, skipna=False), axis=0)
        ratios.update(names)
    return changed, ratios


def _measure_pair(pair: pd.DataFrame, context: str, outcome: str, mixed: bool) -> dict[str, Any]:
    repeats = pair["group"].nunique() < len(pair)
    told: dict[str, Any] = {
        "method": "mixed model, slope"
        if mixed
        else "Pearson's r, jackknife over groups"
        if repeats
        else "Pearson's r"
    }
    if len(pair) < LEAST:
        return told | {"unanswered": f"only {len(pair)} faces have both"}
    x, y = pair[context].to_numpy(float), pair[outcome].to_numpy(float)
    if min(x.std(), y.std()) < 1e-6:
        constant = "the variable" if x.std() < 1e-6 else "the outcome"
        return told | {"unanswered": f"{constant} is constant"}
    if mixed:
        x, y = ((v - v.mean()) / v.std(ddof=1) for v in (x, y))
        return told | _mixed_model(x, y, pair["group"])
    if repeats:
        return told | _clustered_correlation(x, y, pair["group"])
    from scipy.stats import pearsonr

    result = pearsonr(x, y)
    low, high = result.confidence_interval(0.95)
    return told | {
        "estimate": float(result.statistic),
        "ci_low": float(low),
        "ci_high": float(high),
        "p": float(result.pvalue),
    }


def _clustered_correlation(x: Any, y: Any, groups: Any) -> dict[str, Any]:
    """Pearson's r of all faces; interval and p by Fisher's z with each group left out in turn."""
    import numpy as np
    from scipy.stats import t

    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    estimate = float(np.clip((x * y).mean(), -1, 1))
    codes, names = groups.factorize()
    many = len(names)
    if many < LEAST_GROUPS:
        return {"estimate": estimate, "unanswered": f"only {many} groups: no interval"}
    parts = np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y])
    each = np.stack([np.bincount(codes, part, many) for part in parts])
    n, sx, sy, sxx, syy, sxy = parts.sum(axis=1)[:, None] - each
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (sxy - sx * sy / n) / np.sqrt((sxx - sx**2 / n) * (syy - sy**2 / n))
        left = np.arctanh(r)
        whole = np.arctanh(estimate)
    if not np.isfinite([*left, whole]).all():
        return {"estimate": estimate, "unanswered": "it rests on one group alone: no interval"}
    error = float(np.sqrt((many - 1) / many * ((left - whole) ** 2).sum()))
    if error < 1e-12:
        return {"estimate": estimate, "unanswered": "the groups do not differ: no interval"}
    reach = float(t.ppf(0.975, many - 1)) * error
    return {
        "estimate": estimate,
        "ci_low": float(np.tanh(whole - reach)),
        "ci_high": float(np.tanh(whole + reach)),
        "p": float(2 * t.sf(abs(whole) / error, many - 1)),
    }


def _mixed_model(x: Any, y: Any, groups: Any) -> dict[str, Any]:
    import warnings

    import numpy as np
    from scipy.stats import t
    from statsmodels.regression.mixed_linear_model import MixedLM

    if groups.nunique() < 2:
        return {"unanswered": "a mixed model needs at least two groups"}
    if groups.nunique() == len(groups):
        return {"unanswered": "no group has more than one face: use the plain correlation"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a variance at its edge is told by `converged`
            fit = MixedLM(y, np.column_stack([np.ones(len(x)), x]), groups=groups.to_numpy()).fit(
                reml=True
            )
    except (np.linalg.LinAlgError, ValueError) as error:
        return {"unanswered": f"the model could not be fitted: {str(error).splitlines()[0]}"}
    # normal quantiles are too narrow for few groups (Elff et al. 2021, Brit. J. Polit. Sci. 51)
    freedom = max(1, groups.nunique() - 2)
    slope, spread = float(fit.params[1]), float(fit.bse[1])
    reach = float(t.ppf(0.975, freedom)) * spread
    p = float(2 * t.sf(abs(slope) / spread, freedom)) if spread > 0 else np.nan
    values = slope, slope - reach, slope + reach, p
    if not fit.converged or not all(np.isfinite(values)):
        return {"unanswered": "the model did not converge"}
    return dict(zip(("estimate", "ci_low", "ci_high", "p"), values, strict=True))


def heat_map(found: pd.DataFrame, path: Path, *, level: float = 0.05, most: int = 40) -> None:
    """Draw the estimates, context variables down and outcomes across; a dot marks p below `level`.

    At most the `most` context variables with the strongest associations are drawn, in the table's
    order; a cell that could not be computed is hatched.
    """
    _, seaborn, mpl = _import_libraries()
    from matplotlib.figure import Figure  # not pyplot, whose backend is the caller's own

    order = list(dict.fromkeys(found["context"]))
    wide = found.pivot(index="context", columns="outcome", values="estimate")
    kept = wide.abs().max(axis=1).dropna().nlargest(most).index
    rows = [name for name in order if name in set(kept)]
    columns = [c for c in dict.fromkeys(found["outcome"]) if wide[c].notna().any()]
    if not rows:
        raise KuleshovError("there is no association to draw: nothing could be computed.")
    wide = wide.loc[rows, columns].astype(float)
    sure = found.pivot(index="context", columns="outcome", values="p_corrected")
    sure = sure.loc[rows, columns].astype(float)
    marks = sure.map(lambda p: "•" if p < level else "")
    with mpl.rc_context({"font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(
            figsize=(3.6 + 0.36 * len(columns), 2.2 + 0.26 * len(rows)), layout="constrained"
        )
        axes = figure.subplots()
        axes.patch.set(hatch="////", facecolor="white", edgecolor="#b0b0b0")
        strongest = max(0.1, float(wide.abs().max().max()))
        seaborn.heatmap(
            wide,
            annot=marks,
            fmt="",
            cmap="vlag",
            center=0,
            vmin=-strongest,
            vmax=strongest,
            linewidths=0.5,
            annot_kws={"size": 11, "color": "#202020"},
            cbar_kws={"label": found["method"].iloc[0].split(",")[0], "shrink": 0.6},
            xticklabels=True,
            yticklabels=True,
            ax=axes,
        )
        axes.set(xlabel="", ylabel="")
        axes.tick_params(length=0)
        mpl.artist.setp(axes.get_yticklabels(), rotation=0)
        mpl.artist.setp(axes.get_xticklabels(), rotation=60, ha="right", rotation_mode="anchor")
        correction = found["correction"].iloc[0]
        left = len(order) - len(rows)
        more = f"; {left} variables not shown" if left else ""
        axes.set_title(
            f"Context and face, n ≤ {int(found['n'].max())}   • p < {level:g} ({correction}); "
            f"hatched: not computed{more}",
            fontsize=9,
            loc="left",
        )
        figure.savefig(path, dpi=160)


def _import_libraries() -> tuple[Any, Any, Any]:
    try:
        import matplotlib as mpl
        import matplotlib.artist
        import pandas
        import seaborn
        import statsmodels  # noqa: F401
    except ImportError:
        raise KuleshovError(f"associations need {MISSING}.") from None
    return pandas, seaborn, mpl
