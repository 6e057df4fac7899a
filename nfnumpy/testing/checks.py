"""Property checks on any object with the contract of `nfnumpy.flow.Flow`: the package's flows and a student's.

Each check returns the worst error that it saw, as a number, and raises an AssertionError that says which property fails,
where, what was expected and what came. Derivatives to compare with come from `nfnumpy.testing.derivatives`, never from the
flow's own backward pass.
"""
import numpy as np

from nfnumpy.arrays import as_rng
from nfnumpy.testing.derivatives import directional_derivative, jacobian, theta_derivative

# Round trips lose what the conditioning of the map costs, a few digits in float64; float32 starts with seven.
ROUND_TRIP = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-3}
DIRECTIONS = (("forward", "inverse"), ("inverse", "forward"))


def check_flow(flow, x, rng=0):
    """Run all checks on the flow, at its present theta, with the batch x: ``{name of check: worst error}``.

    Parameters
    ----------
    flow : Flow, or anything that keeps its contract
    x : array ``(n, *flow.x_shape)``
        A valid batch, of at least two rows that differ.
    rng : None, int or Generator
        For the directions in which gradients are tested.

    Raises
    ------
    AssertionError
        At the first property that does not hold.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> class WrongSign(nf.Standardize):
    ...     def inverse_vjp(self, z):
    ...         (x, log_det), vjp = super().inverse_vjp(z)
    ...         return (x, -log_det), vjp
    >>> check_flow(WrongSign(mean=[0.0], scale=[2.0]), np.array([[1.0], [2.0]]))
    Traceback (most recent call last):
        ...
    AssertionError: check_log_det: inverse at row 0, z = [0.5]: expected log_det 0.693147 (numpy.linalg.slogdet), got
    -0.693147. The size is right and the sign is wrong: is this the direction that was called?
    """
    rng = as_rng(rng)
    return {"check_shapes": check_shapes(flow, x), "check_invertible": check_invertible(flow, x),
            "check_log_det": check_log_det(flow, x), "check_vjp": check_vjp(flow, x, rng),
            "check_theta": check_theta(flow, x, rng), "check_batching": check_batching(flow, x),
            "check_pure": check_pure(flow, x, rng), "check_dtype": check_dtype(flow, x)}


def check_shapes(flow, x):
    """z is ``(n, *z_shape)`` of the same size as x, log_det ``(n,)``; gradients have the shapes of what they belong to."""
    n, name = len(x), "check_shapes"
    _require(np.prod(flow.x_shape) == np.prod(flow.z_shape), name,
             f"expected x_shape and z_shape of equal size, got {flow.x_shape} and {flow.z_shape}")
    for (method, _), start, end in zip(DIRECTIONS, (flow.x_shape, flow.z_shape), (flow.z_shape, flow.x_shape)):
        value = _start(flow, method, x)
        (out, log_det), vjp = getattr(flow, method + "_vjp")(value)
        grad_in, grad_theta = vjp(np.ones_like(out), np.ones_like(log_det))
        plain, plain_log_det = getattr(flow, method)(value)
        for what, got, wanted in (("output", out, (n, *end)), ("log_det", log_det, (n,)),
                                  ("gradient of the input", grad_in, (n, *start)),
                                  ("grad_theta", grad_theta, flow.theta.shape),
                                  ("output without the vjp", plain, (n, *end)),
                                  ("log_det without the vjp", plain_log_det, (n,))):
            _require(np.shape(got) == tuple(wanted), name,
                     f"{method}: expected a {what} of shape {tuple(wanted)}, got {np.shape(got)}")
    return 0.0


def check_invertible(flow, x):
    """inverse(forward(x)) = x and forward(inverse(z)) = z, within 1e-9 (1 + |x|) in float64, 1e-3 in float32."""
    worst = 0.0
    for there, back in DIRECTIONS:
        value = _start(flow, there, x)
        again = getattr(flow, back)(getattr(flow, there)(value)[0])[0]
        error = np.abs(again - value) / (1 + np.abs(value))
        _require_small(error, ROUND_TRIP[flow.theta.dtype], "check_invertible", lambda i: (
            f"{back}({there}(.)) at row {i}: expected {_show(value[i])}, got {_show(again[i])}"))
        worst = max(worst, error.max(initial=0.0))
    return float(worst)


def check_log_det(flow, x):
    """Each direction's log_det is log abs det of its Jacobian, by `numpy.linalg.slogdet`; the two directions agree.

    The tolerance is 1e-6, or 1e-10 times the Jacobian's condition number where that is larger.
    """
    flow, x = _in_float64(flow, x)
    errors, tolerances = [], []
    for (method, _), letter in zip(DIRECTIONS, "xz"):
        value = _start(flow, method, x)
        log_det = getattr(flow, method)(value)[1]
        J = jacobian(lambda v: getattr(flow, method)(v)[0], value)
        expected = np.linalg.slogdet(J)[1]
        tolerances.append(np.maximum(1e-6, 1e-10 * np.linalg.cond(J)))
        errors.append(np.abs(log_det - expected))
        _require_small(errors[-1], tolerances[-1], "check_log_det", lambda i: (
            f"{method} at row {i}, {letter} = {_show(value[i])}: expected log_det {expected[i]:.6g} (numpy.linalg.slogdet), "
            f"got {log_det[i]:.6g}." + _cause_of_log_det(log_det, expected)))
    z, there = flow.forward(x)
    back = flow.inverse(z)[1]
    _require_small(np.abs(there + back), tolerances[0], "check_log_det", lambda i: (
        f"row {i}: expected inverse's log_det at z = f(x) to be {-there[i]:.6g}, minus that of forward, got {back[i]:.6g}"))
    return float(np.max(errors, initial=0.0))


def _cause_of_log_det(got, expected):
    if np.allclose(got, -expected, rtol=1e-6, atol=1e-6):
        return " The size is right and the sign is wrong: is this the direction that was called?"
    if len(got) > 1 and np.allclose(got, expected.sum(), rtol=1e-6, atol=1e-6):
        return " Every row has the sum over the batch: a log_det belongs to one sample."
    ratio = got / np.where(expected == 0, np.nan, expected)
    if np.isfinite(ratio).all() and np.ptp(ratio) < 1e-6 * np.abs(ratio).max():
        return f" All rows are off by the same factor {ratio[0]:.6g}: what was not counted, or counted twice?"
    return ""


def check_vjp(flow, x, rng=0):
    """Both vjps, for the input and theta, through the output and through log_det: <u, J v> = <J^T u, v>, and by Taylor.

    J v comes from a complex step (or Richardson's differences for flows that take no complex input). The remainder of the
    first-order Taylor expansion must shrink at order 1.9 or better over three halvings, or be at rounding level.
    """
    rng = as_rng(rng)
    flow, x = _in_float64(flow, x)
    worst = 0.0
    for method, _ in DIRECTIONS:
        value = _start(flow, method, x)
        (out, log_det), vjp = getattr(flow, method + "_vjp")(value)
        v, w = rng.standard_normal(value.shape), rng.standard_normal(flow.theta.shape)
        J_v = [directional_derivative(lambda t, k=k: getattr(flow, method)(t)[k], value, v) for k in range(2)]
        J_w = theta_derivative(flow, method, value, w)
        u_out, u_det = rng.standard_normal(out.shape), rng.standard_normal(len(value))
        for path, pull in (("output", (u_out, 0 * u_det)), ("log_det", (0 * u_out, u_det))):
            grad_in, grad_theta = vjp(*pull)
            for what, grad, along, J in (("its input", grad_in, v, J_v), ("theta", grad_theta, w, J_w)):
                expected = sum((p * d).sum() for p, d in zip(pull, J))
                got = (grad * along).sum()
                scale = 1 + sum(np.abs(p * d).sum() for p, d in zip(pull, J)) + np.abs(grad * along).sum()
                error = np.array([np.abs(got - expected) / scale])
                _require_small(error, 1e-7, "check_vjp", lambda i: (
                    f"{method}_vjp, gradient of {what} through {path}: expected a directional derivative of "
                    f"{expected:.9g}, got {got:.9g}." + _cause_of_vjp(flow, method, value, pull, grad, what)))
                worst = max(worst, error[0])
        _check_taylor(flow, method, value, v, w, (u_out, u_det), vjp)
    return float(worst)


def _cause_of_vjp(flow, method, value, pull, grad, what):
    """Which named array the wrong part of grad_theta belongs to."""
    if what != "theta" or not hasattr(flow, "named"):
        return ""
    wrong = []
    for name, block in flow.named(grad).items():
        w = np.zeros_like(flow.theta)
        flow.named(w)[name][...] = 1
        expected = sum((p * d).sum() for p, d in zip(pull, theta_derivative(flow, method, value, w)))
        if not np.isclose(block.sum(), expected, rtol=1e-6, atol=1e-6):
            wrong.append(name)
    return f" The gradient is wrong for {', '.join(wrong)}." if wrong else ""


def _check_taylor(flow, method, value, v, w, pull, vjp):
    """loss(x + t v, theta + t w) = loss + t <gradient, (v, w)> + O(t^2) for loss = <pull, (output, log_det)>."""
    theta = flow.theta.copy()
    grad_in, grad_theta = vjp(*pull)
    slope = (grad_in * v).sum() + (grad_theta * w).sum()

    def loss(t):
        try:
            flow.theta[...] = theta + t * w
            outputs = getattr(flow, method)(value + t * v)
        finally:
            flow.theta[...] = theta
        return sum((p * out).sum() for p, out in zip(pull, outputs)), sum(np.abs(p * out).sum() for p, out in zip(pull, outputs))

    orders = []
    for start in (1e-2, 1e-3, 1e-4, 1e-5):                       # a rough flow shows its order at small steps only
        steps = start / 2.0 ** np.arange(4)
        values = [loss(t) for t in steps]
        remainders = np.array([abs(val - loss(0)[0] - t * slope) for (val, _), t in zip(values, steps)])
        rounding = 1e4 * np.finfo(np.float64).eps * max(size for _, size in values)
        if (remainders <= rounding).all():
            return
        with np.errstate(divide="ignore", invalid="ignore"):
            orders.append(np.log2(remainders[:-1] / remainders[1:]).min())
        if orders[-1] >= 1.9:
            return
    _require(False, "check_vjp", f"{method}_vjp: expected the Taylor remainder to shrink at order 2 as the step is halved, "
             f"got orders {', '.join(f'{order:.2f}' for order in orders)}: order 1 means a wrong gradient")


def check_theta(flow, x, rng=0):
    """theta is flat; writing into it changes the flow, writing it back restores it, and equal theta gives equal output."""
    rng, name = as_rng(rng), "check_theta"
    theta = flow.theta
    _require(isinstance(theta, np.ndarray) and theta.ndim == 1, name,
             f"expected theta to be a flat vector, got {type(theta).__name__} of shape {np.shape(theta)}")
    _require(flow.theta is theta or np.shares_memory(flow.theta, theta) or not theta.size, name,
             "expected flow.theta to be the same memory at every access, got a fresh copy: writing into it is lost")
    if not theta.size:
        return 0.0
    before, saved = flow.forward(x), theta.copy()
    try:
        theta += 0.1 * rng.standard_normal(theta.shape).astype(theta.dtype)
        moved = flow.forward(x)
    finally:
        theta[...] = saved
    _require(any((a != b).any() for a, b in zip(before, moved)), name,
             "expected another output after writing into theta, got the same one: are the arrays views into theta?")
    after = flow.forward(x)
    _require(all((a == b).all() for a, b in zip(before, after)), name,
             "expected the same output after theta was written back, got another one")
    return 0.0


def check_batching(flow, x):
    """Rows are independent: permuting or splitting a batch permutes or splits the result, to rounding."""
    tolerance, worst = ROUND_TRIP[flow.theta.dtype], 0.0
    for method, _ in DIRECTIONS:
        value = _start(flow, method, x)
        whole = getattr(flow, method)(value)
        turned = getattr(flow, method)(value[::-1])
        single = [np.concatenate(parts) for parts in zip(*(getattr(flow, method)(value[i:i + 1]) for i in range(len(x))))]
        for k, what in enumerate(("output", "log_det")):
            for how, got in (("reversed", turned[k][::-1]), ("row by row", single[k])):
                error = np.abs(got - whole[k]) / (1 + np.abs(whole[k]))
                _require_small(error, tolerance, "check_batching", lambda i: (
                    f"{method}, {what} of row {i}, batch taken {how}: expected {_show(whole[k][i])}, got {_show(got[i])}: "
                    "does a row see other rows?"))
                worst = max(worst, error.max(initial=0.0))
    return float(worst)


def check_pure(flow, x, rng=0):
    """No input is written to, no result shares memory with one, equal calls give equal results, closures do not interfere."""
    rng, name = as_rng(rng), "check_pure"
    for method, _ in DIRECTIONS:
        value = np.array(_start(flow, method, x))
        other, kept = value[::-1].copy(), value.copy()
        call = getattr(flow, method + "_vjp")
        (out, log_det), vjp = call(value)
        pull = rng.standard_normal(out.shape).astype(out.dtype), rng.standard_normal(len(value)).astype(out.dtype)
        pull_kept = [p.copy() for p in pull]
        first = [g.copy() for g in vjp(*pull)]
        _, other_vjp = call(other)                               # a second closure, used between two calls of the first
        other_vjp(*pull)
        second = vjp(*pull)
        (again, again_log_det), _ = call(value)
        _require((value == kept).all(), name, f"{method}_vjp: expected its input untouched, got it overwritten")
        _require(all((a == b).all() for a, b in zip(pull, pull_kept)), name,
                 f"{method}_vjp: expected the gradients handed to the vjp untouched, got them overwritten")
        _require(not any(np.shares_memory(a, b) for a in (out, log_det) for b in (value, flow.theta)), name,
                 f"{method}_vjp: expected results in memory of their own, got some that share it with an input or theta")
        _require((again == out).all() and (again_log_det == log_det).all(), name,
                 f"{method}_vjp: expected the same result from the same call, got another one")
        _require(all((a == b).all() for a, b in zip(first, second)), name,
                 f"{method}_vjp: expected a closure to give the same gradients when it is called again after another "
                 "closure, got others: is something kept in the layer?")
    return 0.0


def check_dtype(flow, x):
    """Outputs and gradients have theta's dtype."""
    dtype = flow.theta.dtype
    for method, _ in DIRECTIONS:
        value = _start(flow, method, x).astype(dtype)
        (out, log_det), vjp = getattr(flow, method + "_vjp")(value)
        grad_in, grad_theta = vjp(np.ones_like(out), np.ones_like(log_det))
        for what, got in (("output", out), ("log_det", log_det), ("gradient of the input", grad_in), ("grad_theta", grad_theta)):
            _require(got.dtype == dtype, "check_dtype", f"{method}: expected a {what} of theta's dtype {dtype}, got {got.dtype}")
    return 0.0


def _start(flow, method, x):
    """Where a direction starts: x itself, or, for the inverse, the image of x, which is a valid z for any flow."""
    return np.asarray(x) if method == "forward" else flow.forward(x)[0]


def _in_float64(flow, x):
    """Derivatives are compared in double precision: a float32 flow is checked as its float64 copy."""
    return (flow if flow.theta.dtype == np.float64 else flow.astype(np.float64)), np.asarray(x, np.float64)


def _show(values):
    return np.array2string(np.asarray(values), precision=6, separator=", ", threshold=8).replace("\n", "")


def _require(holds, check, message):
    if not holds:
        raise AssertionError(f"{check}: {message}")


def _require_small(error, tolerance, check, message):
    """Every entry of `error`, ``(n, ...)``, at most `tolerance`; NaN is never small. `message` takes the worst row."""
    excess = np.where(np.isnan(error), np.inf, error) / tolerance
    if (excess > 1).any():
        row = int(np.unravel_index(np.argmax(excess), excess.shape)[0])
        raise AssertionError(f"{check}: {message(row)}")
