"""What some flows claim beyond the contract: a start that fits the data, and numbers at the edges of floating point."""
import copy

import numpy as np

from nfnumpy.testing.common import dtype_of, require, require_small, show
from nfnumpy.testing.derivatives import jacobian

SCALES = (0.0, 1e-8, 1e3)                                        # of the batch: zero, tiny, large


def check_initialize(flow, x):
    """After ``flow.initialize(x)`` each channel (the last axis of z) has mean 0 and variance 1 over the batch x.

    For flows that end in a data-dependent normalization. What is checked, on a copy of the flow: `initialize` returns z
    = f(x) and leaves x alone, `forward` changes no parameter, and the statistics are those claimed, to 1e-6 (1e-3 in
    float32).

    Examples
    --------
    >>> from nfnumpy.flows.actnorm import ActNorm
    >>> check_initialize(ActNorm((2,)), np.array([[1.0, 5.0], [3.0, 9.0]]))
    0.0
    """
    name, flow = "check_initialize", copy.deepcopy(flow)
    x = np.array(x)
    kept, theta = x.copy(), flow.theta.copy()
    flow.forward(x)
    require(np.array_equal(theta, flow.theta), name,
            "expected forward to change no parameter, got other ones after it: only `initialize` looks at the data")
    z = flow.initialize(x)
    tolerance = 1e-6 if dtype_of(flow, x) == np.float64 else 1e-3
    require(np.array_equal(x, kept), name, "expected initialize to leave x untouched, got it overwritten")
    flat = z.reshape(-1, z.shape[-1])
    mean, variance = flat.mean(axis=0), flat.var(axis=0)
    error = np.maximum(np.abs(mean), np.abs(variance - 1))
    require_small(error, tolerance, name, lambda c: (
        f"channel {c} of z = initialize(x): expected mean 0 and variance 1, got mean {mean[c]:.6g} and variance "
        f"{variance[c]:.6g}." + _cause_of_statistics(mean, variance, x, z)))
    again = flow.forward(x)[0]
    require_small(np.abs(again - z), tolerance * (1 + np.abs(z)), name, lambda i: (
        f"row {i}: expected initialize to return f(x), {show(again[i])}, got {show(z[i])}"))
    return float(error.max())


def _cause_of_statistics(mean, variance, x, z):
    channels = x.shape[-1]
    centre, spread = x.reshape(-1, channels).mean(axis=0), x.reshape(-1, channels).std(axis=0)
    per_sample = x.ndim > 2 and not np.allclose(variance, 1)
    for cause, holds in (
            ("Nothing was done: does forward ignore what initialize sets?", np.array_equal(z, x)),
            ("The mean is twice that of x: was it added, where it is to be subtracted?",
             np.allclose(mean * spread, 2 * centre) and np.allclose(variance, 1)),
            ("The mean is not removed at all.", np.allclose(mean * spread, centre) and np.allclose(variance, 1)),
            ("The variance is that of x to the power of -1: was it divided by the variance, not by its root?",
             np.allclose(variance * spread ** 2, 1)),
            ("Were the statistics taken over the wrong axes? Each channel has one mean and one variance, over samples "
             "and pixels.", per_sample),
            ("Were the statistics taken over the wrong axes? Each column has its own.", not np.allclose(variance, 1))):
        if holds:
            return " " + cause
    return ""


def check_extremes(flow, x, extremes=None):
    """Large, tiny and boundary inputs give finite numbers and come back; float32 does what float64 does.

    Parameters
    ----------
    flow : Flow
    x : array ``(n, *x_shape)``
    extremes : array ``(k, *x_shape)``, optional
        Valid inputs that are hard, for a flow with a bounded domain: the rows on its boundary. By default x times 0,
        1e-8 and 1e3.

    Notes
    -----
    No flow gives back more than its conditioning allows: z = f(x) is rounded, and g turns an error of eps abs(z) into
    one of eps abs(J_g) abs(z). The round trip must stay within 10^4 of that, or within 1e-9 (1 + abs(x)); in float32
    within 100, or 1e-3 (1 + abs(x)).

    Examples
    --------
    >>> import nfnumpy as nf
    >>> flow, x = nf.testing.zoo(rng=0)["maf"]
    >>> check_extremes(flow, x) < 1e-9
    True
    """
    x = np.asarray(x, np.float64)
    if extremes is None:
        extremes = np.concatenate([scale * x for scale in SCALES])
    worst = _come_back(flow, np.concatenate([np.asarray(extremes, np.float64), x]), 1e4, 1e-9, "")
    if hasattr(flow, "astype"):
        single = flow.astype(np.float32)
        _come_back(single, x.astype(np.float32), 100.0, 1e-3, " in float32")
        _require_agreement(flow, single, x)
    return worst


def _come_back(flow, x, factor, floor, where):
    """Every output finite, and the round trip as good as its conditioning; the worst error relative to 1 + abs(x)."""
    z, log_det = flow.forward(x)
    again, back = flow.inverse(z)
    for what, got in (("z", z), ("log_det", log_det), ("inverse's x", again), ("inverse's log_det", back)):
        bad = ~np.isfinite(np.reshape(got, (len(x), -1))).all(axis=1)
        i = bad.argmax()
        require(not bad.any(), "check_extremes",
                f"row {i}, x = {show(x[i])}{where}: expected a finite {what}, got {show(got[i])}: an overflow, "
                "a division by zero, or the logarithm of zero at the edge of the domain?")
    double = flow.astype(np.float64) if hasattr(flow, "astype") else flow
    J_g = np.abs(jacobian(lambda v: double.inverse(v)[0], z.astype(np.float64)))
    rounding = (J_g @ np.abs(z).reshape(len(z), -1, 1).astype(np.float64)).reshape(x.shape) + np.abs(x)
    error = np.abs(again.astype(np.float64) - x)
    tolerance = np.maximum(floor * (1 + np.abs(x)), factor * np.finfo(z.dtype).eps * rounding)
    require_small(error, tolerance, "check_extremes", lambda i: (
        f"row {i}, x = {show(x[i])}{where}: expected x again from inverse(forward(x)), got {show(again[i])}: more "
        "digits are lost than the conditioning of the flow explains; is an inverse formed, or a matrix squared, on the "
        "way?"))
    return float((error / (1 + np.abs(x))).max(initial=0.0))


def _require_agreement(flow, single, x):
    """f in float32 beside f in float64, to what its own conditioning makes of rounded inputs."""
    double = flow.astype(np.float64)
    outputs, outputs32 = double.forward(x), single.forward(x.astype(np.float32))
    J = np.abs(jacobian(lambda v: double.forward(v)[0], x)).reshape(len(x), -1)
    size = (1 + J.max(axis=1)) * (1 + np.abs(x).reshape(len(x), -1).max(axis=1))
    for what, out, out32 in zip(("z", "log_det"), outputs, outputs32):
        error = np.abs(out32 - out).reshape(len(x), -1).max(axis=1)
        require_small(error, 1e-3 * size, "check_extremes", lambda i: (
            f"{what} of row {i}, x = {show(x[i])}: expected {show(out[i])} in float32 as in float64, got "
            f"{show(out32[i])}"))
