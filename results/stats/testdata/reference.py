"""Computes reference.json with scipy and pymannkendall, by other ways than the Go code takes.

    python3 -m venv venv && venv/bin/pip install numpy scipy pymannkendall
    venv/bin/python reference.py > reference.json
"""

import json
import math

import numpy as np
import pymannkendall
import scipy
from scipy import stats

draw = np.random.default_rng(20260304)


def walsh(d):
    return np.sort([(d[i] + d[j]) / 2 for i in range(len(d)) for j in range(i, len(d))])


def inverted(d, alpha, **how):
    """The closure of the shifts that the test does not reject, found by asking the test between neighbouring Walsh averages."""
    w = np.unique(walsh(d))
    kept = [i for i in range(len(w) - 1)
            if stats.wilcoxon(d - (w[i] + w[i + 1]) / 2, **how).pvalue > alpha]
    return [float(w[kept[0]]), float(w[kept[-1] + 1])]


def signed_rank():
    out = []
    for n in [6, 7, 8, 10, 12, 15, 20, 21, 24, 30, 60]:
        for confidence in [0.95, 0.90, 1 - 2 * 0.01 / 9]:
            if n <= 20 and 2.0 ** -n > (1 - confidence) / 2:
                continue
            d = draw.normal(0.3, 1, n) + draw.exponential(0.5, n)
            how = {"method": "exact"} if n <= 20 else {"method": "asymptotic", "correction": True}
            low, high = inverted(d, 1 - confidence, **how)
            out.append({"d": d.tolist(), "confidence": confidence, "estimate": float(np.median(walsh(d))),
                        "low": low, "high": high, "method": "exact" if n <= 20 else "normal"})
    return out


def clopper_pearson():
    out = []
    for k, n in [(0, 30), (1, 30), (30, 30), (3, 10), (50, 100), (0, 300), (285, 300), (1, 1)]:
        for confidence in [0.95, 0.99]:
            ci = stats.binomtest(k, n).proportion_ci(confidence, method="exact")
            out.append({"k": k, "n": n, "confidence": confidence, "low": ci.low, "high": ci.high})
    return out


def quantile_ranks():
    out = []
    for n in [6, 10, 25, 100, 368, 400, 1000, 3688, 15000]:
        for q in [0.5, 0.9, 0.99, 0.999]:
            tail = 0.025
            b = stats.binom(n, q)
            lows = [l for l in range(1, n + 1) if b.cdf(l - 1) <= tail]
            highs = [h for h in range(1, n + 1) if b.sf(h - 1) <= tail]
            ok = bool(lows) and bool(highs)
            out.append({"n": n, "q": q, "ok": ok, "low": max(lows) if ok else 0, "high": min(highs) if ok else 0})
    return out


def mann_kendall():
    out = []
    series = [list(range(10)), list(range(10, 0, -1)), [3, 1, 2, 5, 4, 7, 6, 9, 8, 10], [1, 9, 2, 8, 3, 7, 4, 6, 5, 10]]
    series += [draw.normal(0, 1, n).tolist() for n in (4, 10, 15, 20)]
    series += [(draw.normal(0, 1, n) + np.linspace(0, 2, n)).tolist() for n in (10, 20)]
    for x in series:
        r = stats.kendalltau(range(len(x)), x, method="exact")
        s = round(r.statistic * len(x) * (len(x) - 1) / 2)
        out.append({"x": x, "s": s, "p": r.pvalue, "exact": True})
    tied = [[1, 1, 2, 2, 3, 3, 4, 4, 5, 5], [5, 5, 5, 4, 4, 3, 3, 3, 2, 2], draw.integers(0, 5, 30).tolist(),
            (draw.integers(0, 5, 40) + np.arange(40) // 10).tolist(), draw.normal(0, 1, 25).tolist()]
    for x in tied:
        r = pymannkendall.original_test(x)
        out.append({"x": [float(v) for v in x], "s": int(r.s), "p": float(r.p), "exact": False})
    return out


def robust():
    out = []
    for n in [1, 2, 5, 10, 33]:
        x = draw.lognormal(0, 1, n)
        out.append({"x": x.tolist(), "median": float(np.median(x)), "mad": float(stats.median_abs_deviation(x))})
    return out


def sign_flips():
    out = []
    for n in [5, 8, 10]:
        d = draw.normal(0.5, 1, n)
        r = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided")
        out.append({"d": d.tolist(), "p": float(r.pvalue)})
    return out


def min_samples():
    out = []
    for q in [0.5, 0.9, 0.99, 0.999, 0.9999, 0.01]:
        n = 1
        while max(stats.binom.pmf(n, n, q), stats.binom.pmf(0, n, q)) > 0.025:
            n = n + 1 if n < 50000 else math.inf
        out.append({"q": q, "n": n})
    return out


print(json.dumps({
    "made_by": f"scipy {scipy.__version__}, numpy {np.__version__}, pymannkendall {pymannkendall.__version__}",
    "signed_rank": signed_rank(), "clopper_pearson": clopper_pearson(), "quantile_ranks": quantile_ranks(),
    "mann_kendall": mann_kendall(), "robust": robust(), "sign_flips": sign_flips(), "min_samples": min_samples(),
}, indent=1))
