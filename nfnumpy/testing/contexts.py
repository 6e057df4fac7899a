"""What binding to a context promises: the same theta, one row of c for each sample, and a flow that forgets nothing."""
import numpy as np

from nfnumpy.arrays import as_rng
from nfnumpy.testing.common import DIRECTIONS, ROUND_TRIP, dtype_of, has, require, require_small, show


def check_given(flow, x, c, rng=0):
    """``flow.given(c)`` is the flow on the same theta whose sample i has the context c_i; the flow itself stays free.

    Parameters
    ----------
    flow : Flow that takes a context, with random parameters
    x : array ``(n, *flow.x_shape)``, n at least 2
    c : array ``(n, k)``
        Rows that differ.
    rng : None, int or Generator
        For the directions in which gradients are compared.

    Returns
    -------
    float
        The worst difference between a batch with its contexts and its rows one by one.

    Raises
    ------
    AssertionError
        For a theta of its own; a flow that is changed by `given`; a row with another one's context, in outputs or
        gradients; an output that no context moves.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> flow = nf.testing.randomize(nf.Coupling(2, context=1, rng=0), rng=0)
    >>> check_given(flow, np.ones((2, 2)), np.array([[0.0], [1.0]])) < 1e-12
    True
    """
    name, tolerance, rng, worst = "check_given", ROUND_TRIP[dtype_of(flow, x)], as_rng(rng), 0.0
    before = _answer(flow, x)
    bound = flow.given(c)
    require(bound.theta is flow.theta or np.shares_memory(bound.theta, flow.theta), name,
            "expected given(c) to return a flow on the same theta, got one with parameters of its own: what it learns "
            "is lost")
    after = _answer(flow, x)
    require(all(np.array_equal(a, b) for a, b in zip(before, after)), name,
            "expected given(c) to leave the flow itself as it was, got one that is bound now: does it write into the "
            "flow?")
    single = [flow.given(c[i:i + 1]) for i in range(len(x))]
    for method, _ in DIRECTIONS:
        value = x if method == "forward" else bound.forward(x)[0]
        pull = rng.standard_normal(np.shape(x)), rng.standard_normal(len(x))
        whole = _results(bound, method, value, pull)
        rows = [_results(one, method, value[i:i + 1], [p[i:i + 1] for p in pull]) for i, one in enumerate(single)]
        for what, got, parts in zip(("output", "log_det", "gradient of the input", "grad_theta"), whole, zip(*rows)):
            wanted = np.sum(parts, axis=0) if what == "grad_theta" else np.concatenate(parts)
            error = np.abs(got - wanted) / (1 + np.abs(wanted))
            require_small(error.reshape(len(error), -1), tolerance, name, lambda i: (
                f"{method}, {what}{'' if what == 'grad_theta' else f' of row {i}'}: expected what the row gives with its "
                f"own context alone, {show(wanted[i])}, got {show(got[i])}: whose context does it see?"))
            worst = max(worst, error.max(initial=0.0))
    z, turned = bound.forward(x)[0], flow.given(c[::-1]).forward(x)[0]
    require(not np.array_equal(z, turned), name,
            "expected another z with other contexts, got the same one: does the conditioner see c?")
    return float(worst)


def _answer(flow, x):
    """What a flow says of x, or that it refuses x, since it is bound to nothing."""
    try:
        return flow.forward(x)
    except ValueError as error:
        return (str(error),)


def _results(flow, method, value, pull):
    if not has(flow, method + "_vjp"):
        return getattr(flow, method)(value)
    (out, log_det), vjp = getattr(flow, method + "_vjp")(value)
    grad_out, grad_log_det = (np.asarray(p, out.dtype) for p in pull)
    return (out, log_det, *vjp(grad_out.reshape(out.shape), grad_log_det))
