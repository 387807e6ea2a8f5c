"""How near the returns of bars come to independent normal ones."""

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Statistics: TypeAlias = dict[str, float | int | None]

LAGS = 10  # of the Ljung-Box statistic
RETURN_STATISTICS = (
    "n_returns", "return_mean", "return_std", "return_skewness", "return_excess_kurtosis", "jarque_bera",
    "jarque_bera_p", "autocorrelation_1", "ljung_box_10", "ljung_box_10_p",
)  # fmt: skip


def return_statistics(returns: Floats) -> Statistics:
    """The moments of log returns in order, their normality and their memory; NaN stands for a return that is missing.

        return_mean, _std       std with divisor n - 1
        return_skewness         m3 / m2^1.5 of the central moments m (divisor n); 0 if normal
        return_excess_kurtosis  m4 / m2^2 - 3; 0 if normal
        jarque_bera             n / 6 * (skewness^2 + kurtosis^2 / 4); chi-squared with 2 degrees if normal. It grows
                                with n: compare sets of about as many bars
        autocorrelation_1       r_1, where r_k = sum of d_t * d_(t+k) / sum of d_t^2 and d = return - mean, which for a
                                missing return is 0
        ljung_box_10            n (n + 2) * sum over k = 1..10 of r_k^2 / (n - k); chi-squared with 10 degrees if
                                independent
        *_p                     how probable so large a value is, if they are normal or independent

    Null: everything without returns; std with fewer than 2; what divides by a spread that is zero; `ljung_box_10` with
    10 returns or fewer.

    Source: Jarque and Bera (1987), A test for normality of observations and regression residuals; Ljung and Box (1978),
    On a measure of lack of fit in time series models.

    >>> found = return_statistics(np.array([0.01, -0.01, 0.02, -0.02]))
    >>> round(found["autocorrelation_1"], 12), round(found["jarque_bera"], 12), found["ljung_box_10"]
    (-0.7, 0.448266666667, None)
    """
    known = returns[~np.isnan(returns)]
    n = len(known)
    found: Statistics = {**dict.fromkeys(RETURN_STATISTICS), "n_returns": n}
    if not n:
        return found
    mean = float(known.mean())
    found["return_mean"] = mean
    if n > 1:
        found["return_std"] = float(known.std(ddof=1))
    if known.min() != known.max():  # compared, because rounding could give equal numbers a spread
        found |= _shape(known - mean)
        found |= _memory(np.where(np.isnan(returns), 0.0, returns - mean), n)
    return found


def _shape(d: Floats) -> Statistics:
    """Skewness, kurtosis and what they say of normality, of deviations from the mean."""
    z = d / np.abs(d).max()  # powers of small numbers would be zero
    m2 = float(np.mean(z**2))
    skewness, kurtosis = float(np.mean(z**3)) / m2**1.5, float(np.mean(z**4)) / m2**2 - 3
    jarque_bera = len(d) / 6 * (skewness**2 + kurtosis**2 / 4)
    return {
        "return_skewness": skewness,
        "return_excess_kurtosis": kurtosis,
        "jarque_bera": jarque_bera,
        "jarque_bera_p": _chi_squared_beyond(jarque_bera, 2),
    }


def _memory(d: Floats, n: int) -> Statistics:
    """Serial correlation of deviations from the mean, `n` of which are of returns that are known."""
    z = d / np.abs(d).max()
    r = [float(z[:-k] @ z[k:]) / float(z @ z) for k in range(1, min(LAGS, len(z) - 1) + 1)]
    if n <= LAGS:
        return {"autocorrelation_1": r[0]}
    ljung_box = n * (n + 2) * sum(r_k**2 / (n - k) for k, r_k in enumerate(r, start=1))
    return {
        "autocorrelation_1": r[0],
        "ljung_box_10": ljung_box,
        "ljung_box_10_p": _chi_squared_beyond(ljung_box, LAGS),
    }


def _chi_squared_beyond(value: float, degrees: int) -> float:
    """The probability that a chi-squared number of an even number of degrees is larger.

    >>> round(_chi_squared_beyond(5.991464547, 2), 9), round(_chi_squared_beyond(18.307038053, 10), 9)
    (0.05, 0.05)
    """
    half, term, total = value / 2, 1.0, 1.0
    for i in range(1, degrees // 2):
        term *= half / i
        total += term
    return math.exp(-half) * total
