"""How a flow handles arrays: shapes, dtypes, theta, rows that are independent of each other, memory that is its own."""
import inspect

import numpy as np

from nfnumpy.arrays import as_rng
from nfnumpy.testing.common import (DIRECTIONS, ROUND_TRIP, an, dtype_of, has, require, require_parts,
                                    require_small, show, start)

OUTPUTS = {"forward": "(z, log_det)", "inverse": "(x, log_det)"}
GRADIENTS = {"forward": "(grad_x, grad_theta)", "inverse": "(grad_z, grad_theta)"}


def check_shapes(flow, x):
    """z is ``(n, *z_shape)`` of the same size as x, log_det ``(n,)``; gradients have the shapes of what they belong
    to.
    """
    n, name = len(x), "check_shapes"
    x_shape = tuple(getattr(flow, "x_shape", np.shape(x)[1:]))
    z_shape = tuple(getattr(flow, "z_shape", x_shape))
    require(np.prod(x_shape) == np.prod(z_shape), name,
            f"expected x_shape and z_shape of equal size, got {x_shape} and {z_shape}")
    for (method, _), begin, end in zip(DIRECTIONS, (x_shape, z_shape), (z_shape, x_shape)):
        value = start(flow, method, x)
        if has(flow, method + "_vjp"):                           # first: `Flow.forward` is a part of it
            (out, log_det), vjp = _vjp_pair(method, getattr(flow, method + "_vjp")(value))
            _require_shapes(method + "_vjp", (("output", out, (n, *end)), ("log_det", log_det, (n,))))
            result = vjp(np.ones_like(out), np.ones_like(log_det))
            grad_in, grad_theta = _pair(f"{method}_vjp's vjp", GRADIENTS[method], result)
            shape = np.shape(flow.theta) if hasattr(flow, "theta") else np.shape(grad_theta)
            _require_shapes(method + "_vjp", (("gradient of the input", grad_in, (n, *begin)),
                                              ("grad_theta", grad_theta, shape)))
        out, log_det = _pair(method, OUTPUTS[method], getattr(flow, method)(value))
        _require_shapes(method, (("output", out, (n, *end)), ("log_det", log_det, (n,))))
    return 0.0


def _pair(call, expected, result):
    """The two parts of what a call returned; an array of two rows is no pair."""
    require(isinstance(result, (tuple, list)) and len(result) == 2, "check_shapes",
            f"{call}: expected {expected}, got {in_words(result)}")
    return result


def _vjp_pair(method, result):
    """``(output, log_det), vjp`` of a vjp."""
    expected = f"({OUTPUTS[method]}, vjp)"
    outputs, vjp = _pair(method + "_vjp", expected, result)
    require(isinstance(outputs, (tuple, list)) and len(outputs) == 2 and callable(vjp), "check_shapes",
            f"{method}_vjp: expected {expected}, got {in_words(result)}")
    return outputs, vjp


def in_words(result, number="one "):
    """What came instead of a pair.

    >>> in_words(np.zeros((5, 3))), in_words((np.zeros((5, 3)), None))
    ('one array of shape (5, 3)', '(array of shape (5, 3), None)')
    """
    if isinstance(result, np.ndarray):
        return f"{number}array of shape {result.shape}"
    if isinstance(result, (tuple, list)):
        return f"({', '.join(in_words(part, '') for part in result)})"
    return "a function" if callable(result) else repr(result)


def _require_shapes(method, rows):
    for what, got, wanted in rows:
        require(np.shape(got) == tuple(wanted), "check_shapes",
                f"{method}: expected {_article(what)} of shape {tuple(wanted)}, got {np.shape(got)}"
                + _cause_of_shape(np.shape(got), tuple(wanted)))


def _article(what):
    return what if what == "grad_theta" else an(what)


def _cause_of_shape(got, wanted):
    if len(wanted) == 1 and got == (*wanted, 1):
        return f": one column too many, which silently broadcasts against {wanted} to {(wanted[0], wanted[0])}"
    if len(wanted) == 1 and got == ():
        return ": one number for the whole batch, where each sample has its own (was it summed over the batch as well?)"
    if len(wanted) == 1 and len(got) == 1:
        return ": was it summed over the batch axis, where each row is to be summed by itself?"
    if len(got) == len(wanted) and sorted(got) == sorted(wanted):
        return ": the right axes in the wrong order"
    return ""


def check_theta(flow, x, rng=0):
    """theta is flat; writing into it changes the flow, writing it back restores it, and equal theta gives equal output.

    Vjps write the gradient into the vector `out` that they are given: a composition relies on it.
    """
    rng, name = as_rng(rng), "check_theta"
    require_parts(flow, name, "theta")
    theta = flow.theta
    require(isinstance(theta, np.ndarray) and theta.ndim == 1, name,
            f"expected theta to be a flat vector, got {type(theta).__name__} of shape {np.shape(theta)}")
    require(flow.theta is theta or np.shares_memory(flow.theta, theta) or not theta.size, name,
            "expected flow.theta to be the same memory at every access, got a fresh copy: writing into it is lost")
    _check_out(flow, x, rng)
    if not theta.size:
        return 0.0
    before, saved = flow.forward(x), theta.copy()
    try:
        theta += 0.1 * rng.standard_normal(theta.shape).astype(theta.dtype)
        moved = flow.forward(x)
    finally:
        theta[...] = saved
    require(any((a != b).any() for a, b in zip(before, moved)), name,
            "expected another output after writing into theta, got the same one: are the arrays views into theta?")
    after = flow.forward(x)
    require(all((a == b).all() for a, b in zip(before, after)), name,
            "expected the same output after theta was written back, got another one")
    return 0.0


def _check_out(flow, x, rng):
    """The vector `out`, full of NaN before, ends up with the gradient that the vjp returns without it."""
    for method, _ in DIRECTIONS:
        if not has(flow, method + "_vjp"):
            continue
        (out, log_det), vjp = getattr(flow, method + "_vjp")(start(flow, method, x))
        if "out" not in inspect.signature(vjp).parameters:       # a stranger's: a composition refuses it aloud
            continue
        pull = [rng.standard_normal(np.shape(result)).astype(out.dtype) for result in (out, log_det)]
        written = np.full_like(flow.theta, np.nan)
        _, grad_theta = vjp(*pull)
        _, returned = vjp(*pull, out=written)
        require(np.array_equal(written, grad_theta) and np.array_equal(returned, grad_theta), "check_theta",
                f"{method}_vjp: expected vjp(..., out=v) to write grad_theta = {show(grad_theta)} into v and to "
                f"return it, got v = {show(written)}, returned {show(returned)}: a composition would lose this "
                "gradient")


def check_batching(flow, x):
    """Rows are independent: permuting or splitting a batch permutes or splits the result, to rounding."""
    tolerance, worst = ROUND_TRIP[dtype_of(flow, x)], 0.0
    for method, _ in DIRECTIONS:
        value = start(flow, method, x)
        whole = getattr(flow, method)(value)
        turned = getattr(flow, method)(value[::-1])
        rows = [getattr(flow, method)(value[i:i + 1]) for i in range(len(x))]
        single = [np.concatenate(parts) for parts in zip(*rows)]
        for k, what in enumerate(("output", "log_det")):
            for how, got in (("reversed", turned[k][::-1]), ("row by row", single[k])):
                error = np.abs(got - whole[k]) / (1 + np.abs(whole[k]))
                require_small(error, tolerance, "check_batching", lambda i: (
                    f"{method}, {what} of row {i}, batch taken {how}: expected {show(whole[k][i])}, got "
                    f"{show(got[i])}: does a row see other rows?"))
                worst = max(worst, error.max(initial=0.0))
    return float(worst)


def check_pure(flow, x, rng=0):
    """No input is written to, no result shares memory with one, equal calls give equal results, closures do not
    interfere.
    """
    rng = as_rng(rng)
    for method, _ in DIRECTIONS:
        value = np.array(start(flow, method, x))
        kept, theta = value.copy(), np.array(getattr(flow, "theta", 0.0))
        results = getattr(flow, method)(value)
        _require_untouched(flow, method, value, kept, theta, results)
        again = getattr(flow, method)(value)
        require(all(np.array_equal(a, b) for a, b in zip(results, again)), "check_pure",
                f"{method}: expected the same result from the same call, got another one: is something kept in the "
                "flow, or drawn at random?")
        if has(flow, method + "_vjp"):
            _check_pure_vjp(flow, method, value, kept, theta, rng)
    return 0.0


def _check_pure_vjp(flow, method, value, kept, theta, rng):
    name, call = "check_pure", getattr(flow, method + "_vjp")
    (out, log_det), vjp = call(value)
    pull = rng.standard_normal(out.shape).astype(out.dtype), rng.standard_normal(len(value)).astype(out.dtype)
    pull_kept = [p.copy() for p in pull]
    first = [g.copy() for g in vjp(*pull)]
    _, other_vjp = call(value[::-1].copy())                      # a second closure, used between two calls of the first
    other_vjp(*pull)
    second = vjp(*pull)
    (again, again_log_det), _ = call(value)
    _require_untouched(flow, method + "_vjp", value, kept, theta, (out, log_det))
    require(all((a == b).all() for a, b in zip(pull, pull_kept)), name,
            f"{method}_vjp: expected the gradients handed to the vjp untouched, got them overwritten")
    require(not any(np.shares_memory(a, b) for a in second for b in (value, *_own_memory(flow))), name,
            f"{method}_vjp: expected gradients in memory of their own, got some that share it with an input or theta")
    require((again == out).all() and (again_log_det == log_det).all(), name,
            f"{method}_vjp: expected the same result from the same call, got another one")
    require(all((a == b).all() for a, b in zip(first, second)), name,
            f"{method}_vjp: expected a closure to give the same gradients when it is called again after another "
            "closure, got others: is something kept in the layer?")


def _require_untouched(flow, method, value, kept, theta, results):
    require((value == kept).all(), "check_pure", f"{method}: expected its input untouched, got it overwritten")
    require(np.array_equal(getattr(flow, "theta", 0.0), theta), "check_pure",
            f"{method}: expected theta untouched, got it changed: parameters change in `initialize` and in training "
            f"only")
    require(not any(np.shares_memory(a, b) for a in results for b in (value, *_own_memory(flow))), "check_pure",
            f"{method}: expected results in memory of their own, got some that share it with an input or theta")


def _own_memory(flow):
    return [flow.theta] if hasattr(flow, "theta") else []


def check_dtype(flow, x):
    """Outputs and gradients have theta's dtype."""
    dtype = dtype_of(flow, x)
    for method, _ in DIRECTIONS:
        value = start(flow, method, x).astype(dtype)
        out, log_det = getattr(flow, method)(value)
        rows = [("output", out), ("log_det", log_det)]
        if has(flow, method + "_vjp"):
            (out, log_det), vjp = getattr(flow, method + "_vjp")(value)
            grad_in, grad_theta = vjp(np.ones_like(out), np.ones_like(log_det))
            rows += [("output", out), ("log_det", log_det)]
            rows += [("gradient of the input", grad_in), ("grad_theta", grad_theta)]
        for what, got in rows:
            require(got.dtype == dtype, "check_dtype",
                    f"{method}: expected {_article(what)} of theta's dtype {dtype}, got {got.dtype}"
                    + (": a NumPy float64 scalar promotes float32 arrays; take constants from `math`, draw with a dtype"
                       if dtype == np.float32 and got.dtype == np.float64 else ""))
    return 0.0
