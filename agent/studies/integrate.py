"""How do people combine a face and its context? Rules are fitted, compared and held against people.

After Ong, Zaki & Goodman (2015, Cognition 143:141-162): people judge faces alone, contexts alone
and both together; a rule predicts the third from the first two. The fits are scipy's, the mixed
model is statsmodels'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from kuleshov.evidence.observer import FLOOR, Observer, pool_log_linear
from kuleshov.studies.ratings import MISSING, Cells, Ratings, as_distribution, mean_cells
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.types import Record

if TYPE_CHECKING:
    import pandas as pd

SPLITS, RESAMPLES = 200, 1000
HIGHEST_WEIGHT = 5.0
FEWEST_OF_RATER = 4
"""Judgements of both together below which a rater's own weights are not estimated."""


@dataclass(frozen=True)
class Rule:
    """A rule of combination. predict: (cells, parameters, prior) → (pairs, labels)."""

    name: str
    says: str
    parameters: tuple[str, ...]
    start: tuple[float, ...]
    bounds: tuple[tuple[float, float], ...]
    predict: Callable[[Cells, np.ndarray, np.ndarray], np.ndarray]


def _surer_cue(found: Cells, _: np.ndarray, __: np.ndarray) -> np.ndarray:
    """The cue with the lower entropy."""
    from scipy.stats import entropy

    face = entropy(found.face, axis=1) <= entropy(found.context, axis=1)
    return np.where(face[:, None], found.face, found.context)


WEIGHT = (0.0, HIGHEST_WEIGHT)
RULES: tuple[Rule, ...] = (
    Rule("face", "the face alone", (), (), (), lambda c, t, p: c.face),
    Rule("context", "the context alone", (), (), (), lambda c, t, p: c.context),
    Rule("surer", "the surer of the two cues", (), (), (), _surer_cue),
    Rule("mean", "the mean of both", (), (), (), lambda c, t, p: (c.face + c.context) / 2),
    Rule(
        "linear-pool",
        "a weighted mean",
        ("face_weight",),
        (0.5,),
        ((0.0, 1.0),),
        lambda c, t, p: t[0] * c.face + (1 - t[0]) * c.context,
    ),
    Rule(
        "product",
        "the product",
        (),
        (),
        (),
        lambda c, t, p: pool_log_linear(c.face, c.context, 1, 1),
    ),
    Rule(
        "product-over-prior",
        "Bayesian cue integration",
        (),
        (),
        (),
        lambda c, t, p: pool_log_linear(c.face, c.context, 1, 1, 1, p),
    ),
    Rule(
        "log-pool",
        "a log-linear pool",
        ("face_weight", "context_weight"),
        (0.5, 0.5),
        (WEIGHT, WEIGHT),
        lambda c, t, p: pool_log_linear(c.face, c.context, t[0], t[1]),
    ),
    Rule(
        "log-pool-prior",
        "… over a prior, with lapses",
        ("face_weight", "context_weight", "prior_weight", "lapse"),
        (0.5, 0.5, 0.1, 0.02),
        (WEIGHT, WEIGHT, WEIGHT, (0.0, 0.5)),
        lambda c, t, p: pool_log_linear(c.face, c.context, t[0], t[1], t[2], p, t[3]),
    ),
)


class Interval(Record):
    """An estimate and its 95 % interval."""

    value: float
    low: float | None = None
    high: float | None = None


class RuleFit(Record):
    """One rule against people. Divergences are Kullback-Leibler from people's judgements to the
    rule's, in nats, weighted by judgements; over faces and over contexts: cross-validated, each
    face (context) predicted by a fit that saw none of its judgements.

    Intervals: percentiles of a bootstrap over faces.
    """

    rule: str
    says: str
    parameters: dict[str, float]
    divergence: float
    over_faces: Interval
    over_contexts: float
    r: Interval = Field(description="Pearson's r with people over pairs and labels, over faces")
    top_label: float = Field(ge=0, le=1, description="pairs whose first label it predicts")


class EmotionFit(Record):
    """One label's mean rating of both, regressed on those of face and context (WLS)."""

    label: str
    face: Interval | None = Field(description="None: the judgements cannot tell the two apart")
    context: Interval | None
    r_face: float
    r_context: float
    r_both: float | None


class RaterFit(Record):
    """One rater's weights, shrunken towards everybody's (random slopes of a mixed model)."""

    rater: str
    judgements: int
    face_weight: float
    context_weight: float


class Ceiling(Record):
    """How well people predict people: two halves of the judges of each pair.

    A rule that knew what all people mean would still differ from the mean of few: by about a
    quarter of the divergence of two halves, because noise falls with the number of judges.
    """

    splits: int
    pairs: int
    divergence_of_halves: float
    divergence: float = Field(description="the lowest that a rule can be expected to reach")
    r_of_halves: float
    r: float = Field(description="the highest: root of the Spearman-Brown reliability")


class Integration(Record):
    """What `kuleshov integrate` comes to."""

    labels: tuple[str, ...]
    judgements: dict[str, int]
    faces: int
    contexts: int
    pairs: int
    raters: int | None
    rules: tuple[RuleFit, ...]
    ceiling: Ceiling | None = Field(description="None: no pair has two judgements")
    emotions: tuple[EmotionFit, ...]
    by_rater: tuple[RaterFit, ...] = ()
    spread: dict[str, float] | None = Field(
        None, description="standard deviation of the raters' weights around everybody's"
    )
    observer: Observer
    warnings: tuple[str, ...] = ()

    def table(self) -> list[dict[str, Any]]:
        """A row a rule, for a CSV."""
        return [
            {
                "rule": fit.rule,
                **{f"parameter_{k}": v for k, v in fit.parameters.items()},
                "kl": fit.divergence,
                "kl_over_faces": fit.over_faces.value,
                "kl_over_faces_low": fit.over_faces.low,
                "kl_over_faces_high": fit.over_faces.high,
                "kl_over_contexts": fit.over_contexts,
                "r": fit.r.value,
                "r_low": fit.r.low,
                "r_high": fit.r.high,
                "top_label": fit.top_label,
            }
            for fit in self.rules
        ]


def kl_divergences(people: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergences KL(people || told) of rows, nats."""
    from scipy.special import rel_entr

    return np.asarray(rel_entr(people, np.maximum(told, 1e-12)).sum(axis=1))


def fit_integration(
    ratings: Ratings,
    *,
    source: str,
    command: str = "kuleshov integrate",
    name: str = "own",
    seed: int = 0,
) -> Integration:
    """Fit and compare all rules.

    Args:
        ratings: from `read_ratings`.
        source, command, name: written into the observer.
        seed: of the splits and the bootstrap.

    Raises:
        KuleshovError: no pair was judged alone and together, or a library is missing.
    """
    _need_libraries()
    found = mean_cells(ratings)
    warnings = list(ratings.warnings)
    if found.left_out:
        warnings.append(
            f"{found.left_out} pairs were judged whose face or context was not judged alone: left "
            "out"
        )
    rng = np.random.default_rng(seed)
    fits = [_rule_fit(rule, found, rng) for rule in RULES]
    chosen = next(fit for fit in fits if fit.rule == "log-pool")
    raters = None if ratings.rater is None else len(set(ratings.rater))
    by_rater, spread = _by_rater(ratings, found, warnings)
    ceiling = _noise_ceiling(ratings, rng)
    if ceiling is None:
        warnings.append("no pair has two judgements: the noise ceiling is not known")
    return Integration(
        labels=found.labels,
        judgements={one: int((ratings.cue == one).sum()) for one in ("face", "context", "both")},
        faces=len(set(found.face_names)),
        contexts=len(set(found.context_names)),
        pairs=len(found.n),
        raters=raters,
        rules=tuple(fits),
        ceiling=ceiling,
        emotions=tuple(_fit_emotions(ratings)),
        by_rater=tuple(by_rater),
        spread=spread,
        observer=Observer(
            name=name,
            face_weight=round(chosen.parameters["face_weight"], 4),
            context_weight=round(chosen.parameters["context_weight"], 4),
            floor=round(max(FLOOR, min(found.face.min(), found.context.min())), 4) or FLOOR,
            labels=found.labels,
            judgements=len(ratings),
            raters=raters,
            source=source,
            command=command,
            divergence=round(chosen.over_faces.value, 4),
        ),
        warnings=tuple(warnings),
    )


def fit_rule(rule: Rule, found: Cells) -> np.ndarray:
    """The parameters of least divergence from people, weighted by judgements."""
    from scipy.optimize import minimize

    if not rule.parameters:
        return np.array([])
    prior = mean_judgement(found)

    def loss(parameters: np.ndarray) -> float:
        told = rule.predict(found, parameters, prior)
        return float(np.average(kl_divergences(found.both, told), weights=found.n))

    best = minimize(loss, np.array(rule.start), method="L-BFGS-B", bounds=rule.bounds)
    return np.asarray(best.x)


def mean_judgement(found: Cells) -> np.ndarray:
    """p(e): what people judge over all pairs, weighted by judgements, (labels,)."""
    return np.asarray(np.average(found.both, axis=0, weights=found.n))


def held_out(rule: Rule, found: Cells, groups: np.ndarray) -> np.ndarray:
    """Predictions of every pair by a fit to the pairs of all other groups, (pairs, labels)."""
    told = np.empty_like(found.both)
    for group in sorted(set(groups)):
        out = groups == group
        others = found.where(~out)
        told[out] = rule.predict(found.where(out), fit_rule(rule, others), mean_judgement(others))
    return told


def _rule_fit(rule: Rule, found: Cells, rng: np.random.Generator) -> RuleFit:
    parameters = fit_rule(rule, found)
    told = rule.predict(found, parameters, mean_judgement(found))
    by_face = held_out(rule, found, found.face_names)
    by_context = held_out(rule, found, found.context_names)
    apart = kl_divergences(found.both, by_face)
    names = sorted(set(found.face_names))
    rows = {name: np.flatnonzero(found.face_names == name) for name in names}
    kl, r = [], []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([rows[name] for name in rng.choice(names, len(names))])
        kl.append(np.average(apart[drawn], weights=found.n[drawn]))
        r.append(_pearson_r(found.both[drawn].ravel(), by_face[drawn].ravel()))
    return RuleFit(
        rule=rule.name,
        says=rule.says,
        parameters=dict(zip(rule.parameters, map(float, parameters), strict=True)),
        divergence=float(np.average(kl_divergences(found.both, told), weights=found.n)),
        over_faces=_bootstrap_interval(float(np.average(apart, weights=found.n)), kl),
        over_contexts=float(np.average(kl_divergences(found.both, by_context), weights=found.n)),
        r=_bootstrap_interval(_pearson_r(found.both.ravel(), by_face.ravel()), r),
        top_label=float(np.average(by_face.argmax(1) == found.both.argmax(1), weights=found.n)),
    )


def _bootstrap_interval(value: float, drawn: Sequence[float]) -> Interval:
    known = [x for x in drawn if np.isfinite(x)]
    if not known:
        return Interval(value=value)
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(value=value, low=float(low), high=float(high))


def _pearson_r(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's r; 0 where one of the two never changes, which predicts nothing."""
    if np.ptp(a) < 1e-12 or np.ptp(b) < 1e-12:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _noise_ceiling(ratings: Ratings, rng: np.random.Generator) -> Ceiling | None:
    both = np.flatnonzero(ratings.cue == "both")
    groups: dict[tuple[Any, Any], list[int]] = {}
    for row in both:
        groups.setdefault((ratings.face[row], ratings.context[row]), []).append(int(row))
    several = [np.array(rows) for rows in groups.values() if len(rows) > 1]
    if not several:
        return None
    kl, r = [], []
    for _ in range(SPLITS):
        halves: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for rows in several:
            order = rng.permutation(rows)
            middle = len(order) // 2
            for half, part in zip(halves, (order[:middle], order[middle:]), strict=True):
                half.append(as_distribution(ratings.values[part].mean(axis=0), ratings.lift))
        a, b = np.array(halves[0]), np.array(halves[1])
        kl.append(kl_divergences(a, b).mean())
        r.append(_pearson_r(a.ravel(), b.ravel()))
    apart, alike = float(np.mean(kl)), float(np.mean(r))
    whole = max(0.0, 2 * alike / (1 + alike)) if alike > -1 else 0.0
    return Ceiling(
        splits=SPLITS,
        pairs=len(several),
        divergence_of_halves=apart,
        divergence=apart / 4,
        r_of_halves=alike,
        r=float(np.sqrt(whole)),
    )


def _fit_emotions(ratings: Ratings) -> list[EmotionFit]:
    """Raw points above the floor, label by label."""
    import statsmodels.api as sm

    def means(one: str, names: np.ndarray) -> dict[str, np.ndarray]:
        rows = ratings.cue == one
        return {n: ratings.values[rows & (names == n)].mean(axis=0) for n in set(names[rows])}

    face, context = means("face", ratings.face), means("context", ratings.context)
    rows = ratings.cue == "both"
    pairs = sorted(set(zip(ratings.face[rows], ratings.context[rows], strict=True)))
    pairs = [(f, c) for f, c in pairs if f in face and c in context]
    of = [rows & (ratings.face == f) & (ratings.context == c) for f, c in pairs]
    both = np.array([ratings.values[mask].mean(axis=0) for mask in of])
    n = np.array([mask.sum() for mask in of])
    a, b = np.array([face[f] for f, _ in pairs]), np.array([context[c] for _, c in pairs])
    fits = []
    for i, label in enumerate(ratings.labels):
        design = sm.add_constant(np.column_stack([a[:, i], b[:, i]]), has_constant="add")
        alone = {
            "r_face": _pearson_r(a[:, i], both[:, i]),
            "r_context": _pearson_r(b[:, i], both[:, i]),
        }
        if np.linalg.matrix_rank(design) < 3:  # a label that is rated alike throughout
            fits.append(EmotionFit(label=label, face=None, context=None, r_both=None, **alone))
            continue
        fitted = sm.WLS(both[:, i], design, weights=n).fit()
        (_, face_low, context_low), (_, face_high, context_high) = fitted.conf_int().T
        fits.append(
            EmotionFit(
                label=label,
                face=Interval(value=fitted.params[1], low=face_low, high=face_high),
                context=Interval(value=fitted.params[2], low=context_low, high=context_high),
                r_both=_pearson_r(fitted.predict(design), both[:, i]),
                **alone,
            )
        )
    return fits


def log_ratios(shares: np.ndarray) -> np.ndarray:
    """Centred log-ratios (Aitchison 1982): a log-linear pool is a weighted sum of these."""
    logs = np.log(shares)
    return np.asarray(logs - logs.mean(axis=-1, keepdims=True))


def rater_table(ratings: Ratings, found: Cells) -> pd.DataFrame:
    """A row a judgement of both and label: log-ratios of the judgement, the face, the context."""
    import pandas as pd

    assert ratings.rater is not None
    alone = {
        (f, c): (log_ratios(x), log_ratios(y))
        for f, c, x, y in zip(
            found.face_names, found.context_names, found.face, found.context, strict=True
        )
    }
    rows = []
    for i in np.flatnonzero(ratings.cue == "both"):
        pair = alone.get((ratings.face[i], ratings.context[i]))
        if pair is None:
            continue
        said = log_ratios(as_distribution(ratings.values[i], ratings.lift))
        rows += [(str(ratings.rater[i]), i, y, x, z) for y, x, z in zip(said, *pair, strict=True)]
    return pd.DataFrame(rows, columns=["rater", "judgement", "both", "face", "context"])


def _by_rater(
    ratings: Ratings, found: Cells, warnings: list[str]
) -> tuple[list[RaterFit], dict[str, float] | None]:
    """Random slopes of face and context by rater; none where too few raters judge enough."""
    if ratings.rater is None or len(set(ratings.rater)) < 3:
        return [], None
    table = rater_table(ratings, found)
    counts = table.groupby("rater").judgement.nunique()
    enough = counts[counts >= FEWEST_OF_RATER].index
    if len(enough) < 3:
        warnings.append(
            f"fewer than 3 raters judged {FEWEST_OF_RATER} pairs or more: weights by rater are not "
            "estimated"
        )
        return [], None
    table = table[table.rater.isin(enough)]
    fitted, slopes = fit_raters(table)
    if fitted is None:
        warnings.append("the mixed model of raters did not converge: no weights by rater")
        return [], None
    return [
        RaterFit(
            rater=rater,
            judgements=int(counts[rater]),
            face_weight=float(a),
            context_weight=float(b),
        )
        for rater, (a, b) in slopes.items()
    ], fitted


def fit_raters(
    table: pd.DataFrame,
) -> tuple[dict[str, float] | None, dict[str, tuple[float, float]]]:
    """The spread of raters' weights, and each rater's, shrunken (BLUP); None: no convergence.

    A judgement's log-ratios sum to 0, so that the model has no intercept.
    """
    import warnings as python_warnings

    import statsmodels.api as sm

    design = table[["face", "context"]].to_numpy()
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")  # told below by what it returns
        model = sm.MixedLM(table.both.to_numpy(), design, table.rater.to_numpy(), exog_re=design)
        free = sm.regression.mixed_linear_model.MixedLMParams.from_components(
            fe_params=np.ones(2), cov_re=np.eye(2)
        )
        try:
            fit = model.fit(reml=True, free=free, method=["lbfgs", "bfgs", "cg"])
        except (np.linalg.LinAlgError, ValueError):
            return None, {}
    if not np.isfinite(fit.fe_params).all() or not fit.converged:
        return None, {}
    spread = np.sqrt(np.maximum(np.diag(np.asarray(fit.cov_re)), 0))
    slopes = {}
    for rater, effect in fit.random_effects.items():
        a, b = fit.fe_params + np.asarray(effect)
        slopes[str(rater)] = (float(a), float(b))
    return {"face_weight": float(spread[0]), "context_weight": float(spread[1])}, slopes


def _need_libraries() -> None:
    try:
        import pandas  # noqa: F401
        import scipy  # noqa: F401
        import statsmodels  # noqa: F401
    except ImportError:
        raise KuleshovError(f"a study needs {MISSING}.") from None
