"""Hand-derived gradients against derivatives that nobody derived: vector-Jacobian products, and the gradients of
losses.

A vjp is tested twice. <u, J v> = <J^T u, v> for random u and v, where J v comes from a complex step, is exact to
rounding. The order of the Taylor remainder needs nothing but values of the flow: loss(t) - loss(0) - t * slope shrinks
with t^2 if the slope is right, and with t if it is not.
"""
import numpy as np

from nfnumpy.arrays import as_rng
from nfnumpy.testing.causes import cause_of_gradient, end
from nfnumpy.testing.common import (DIRECTIONS, MOVED, NUDGE, NotApplicable, has, in_float64, require, require_small,
                                    show, some, start, theta_in_words)
from nfnumpy.testing.derivatives import directional_derivative, has_kink, richardson, takes_complex, theta_derivative

EXACT, ROUGH = 1e-7, 1e-6                                        # tolerances beside complex steps, beside differences
ENTRIES = 64                                                     # of a wrong array, to find the worst one among


def check_vjp(flow, x, rng=0):
    """Both vjps, for the input and theta, through the output and through log_det: <u, J v> = <J^T u, v>, and by Taylor.

    J v comes from a complex step (or Richardson's differences for flows that take no complex input, and before anyone
    is told that a gradient is wrong). The remainder of the first-order Taylor expansion must shrink at order 1.9 or
    better over three halvings, or be at rounding level. Beside a kink (of a ReLU), where a gradient is a matter of
    taste, batch and theta are moved by a thousandth first.
    """
    rng, worst = as_rng(rng), 0.0
    flow, x = in_float64(flow, x, "check_vjp")
    methods = [method for method, _ in DIRECTIONS if has(flow, method + "_vjp")]
    if not methods:
        raise NotApplicable(f"check_vjp: {type(flow).__name__} has no forward_vjp and no inverse_vjp")
    for method in methods:
        value = start(flow, method, x)
        v, w = rng.standard_normal(value.shape), rng.standard_normal(_theta(flow).shape)
        try:
            error = _check_direction(flow, method, value, v, w, rng)
        except AssertionError:
            if not has_kink(_along(flow, method, value, v, w)):
                raise
            theta = _theta(flow).copy()
            try:                                                 # the same, a step away from the kink
                _theta(flow)[...] += NUDGE * rng.standard_normal(theta.shape)
                error = _check_direction(flow, method, value + NUDGE * rng.standard_normal(value.shape), v, w, rng)
            except AssertionError as complaint:
                raise AssertionError(f"{complaint}{MOVED}") from None
            finally:
                _theta(flow)[...] = theta
        worst = max(worst, error)
    return float(worst)


def _theta(flow):
    return getattr(flow, "theta", np.empty(0))


def _along(flow, method, value, v, w):
    """t -> all outputs at value + t v, theta + t w, in one vector; theta is put back."""
    theta = _theta(flow).copy()

    def curve(t):
        try:
            _theta(flow)[...] = theta + t * w
            return np.append(*getattr(flow, method)(value + t * v))
        finally:
            _theta(flow)[...] = theta

    return curve


def _check_direction(flow, method, value, v, w, rng):
    (out, log_det), vjp = getattr(flow, method + "_vjp")(value)
    for what, got, plain in zip(("output", "log_det"), (out, log_det), getattr(flow, method)(value)):
        require_small(np.abs(got - plain) / (1 + np.abs(plain)), 1e-9, "check_vjp", lambda i: (
            f"{method}_vjp at row {i}: expected the {what} of {method}, {show(plain[i])}, got {show(got[i])}: do the "
            "two belong to the same direction?"))
    u_out, u_det, worst = rng.standard_normal(out.shape), rng.standard_normal(len(value)), 0.0
    tolerance = EXACT if takes_complex(lambda x: getattr(flow, method)(x)[0], value) else ROUGH
    derivatives = [_derivatives(flow, method, value, v, w)]
    for path, pull in (("output", (u_out, 0 * u_det)), ("log_det", (0 * u_out, u_det))):
        for k, (what, grad, along) in enumerate(zip(("its input", "theta"), vjp(*pull), (v, w))):
            by_complex_step = True
            error, expected, got = _compare(pull, derivatives[0][k], grad, along)
            if not error <= tolerance:                           # a second opinion: was the complex step misled?
                derivatives += [_derivatives(flow, method, value, v, w, False)] if len(derivatives) == 1 else []
                if not all(np.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(*(d[k] for d in derivatives))):
                    error, expected, got = _compare(pull, derivatives[1][k], grad, along)
                    tolerance, by_complex_step = ROUGH, False
            require_small(np.array([error]), tolerance, "check_vjp", lambda i: (
                f"{method}_vjp, gradient of {what} through {path}: expected a directional derivative of "
                f"{expected:.9g}, got {got:.9g}."
                + _cause_of_vjp(flow, method, value, pull, grad, what, path, by_complex_step) + theta_in_words(flow)))
            worst = max(worst, error)
    _check_scalar(method, vjp, u_out, len(value))
    _check_taylor(flow, method, value, v, w, (u_out, u_det), vjp)
    return worst


def _derivatives(flow, method, value, v, w, complex_step=True):
    """Derivatives of both outputs along v in the input, and along w in theta."""
    J_v = tuple(directional_derivative(lambda x, k=k: getattr(flow, method)(x)[k], value, v, complex_step)
                for k in range(2))
    return J_v, theta_derivative(flow, method, value, w, complex_step) if w.size else (0.0, 0.0)


def _compare(pull, derivatives, grad, along):
    """``error, expected, got`` of <u, J v> = <J^T u, v>, the error relative to the size of what is summed."""
    expected = sum((p * d).sum() for p, d in zip(pull, derivatives))
    got = (grad * along).sum()
    scale = 1 + sum(np.abs(p * d).sum() for p, d in zip(pull, derivatives)) + np.abs(grad * along).sum()
    return np.abs(got - expected) / scale, expected, got


def _check_scalar(method, vjp, u_out, n):
    """grad_log_det may be one number for all samples."""
    for what, one, all_of_them in zip(("the input", "theta"), vjp(u_out, 1.0), vjp(u_out, np.ones(n))):
        require(np.allclose(one, all_of_them, rtol=1e-10, atol=1e-10), "check_vjp",
                f"{method}_vjp: expected the same gradient of {what} for grad_log_det = 1.0 and for {n} ones, got "
                f"another")


def _check_taylor(flow, method, value, v, w, pull, vjp):
    """loss(x + t v, theta + t w) = loss + t <gradient, (v, w)> + O(t^2) for loss = <pull, (output, log_det)>."""
    grad_in, grad_theta = vjp(*pull)
    slope = (grad_in * v).sum() + (grad_theta * w).sum()
    curve, weights = _along(flow, method, value, v, w), np.append(*pull)
    at_zero, orders = curve(0.0), []
    for first in (1e-2, 1e-3, 1e-4, 1e-5):                       # a rough flow shows its order at small steps only
        steps = first / 2.0 ** np.arange(4)
        values = np.array([curve(t) for t in steps])
        remainders = np.abs((values - at_zero) @ weights - steps * slope)
        rounding = 1e4 * np.finfo(np.float64).eps * (np.abs(values) @ np.abs(weights)).max()
        if (remainders <= rounding).all():
            return
        with np.errstate(divide="ignore", invalid="ignore"):
            orders.append(np.log2(remainders[:-1] / remainders[1:]).min())
        if orders[-1] >= 1.9:
            return
    require(False, "check_vjp",
            f"{method}_vjp: expected the Taylor remainder to shrink at order 2 as the step is halved, got orders "
            f"{', '.join(f'{order:.2f}' for order in orders)}: order 1 means a wrong gradient")


def _cause_of_vjp(flow, method, value, pull, grad, what, path, complex_step):
    """Which coordinates of the input, or which named arrays of theta, have the wrong gradient, and what it is
    instead.
    """
    def expected(along):
        J = (_derivatives(flow, method, value, along, np.empty(0), complex_step)[0] if what == "its input" else
             theta_derivative(flow, method, value, along, complex_step))
        return sum((p * d).sum() for p, d in zip(pull, J))

    n = len(value)
    if what == "theta":
        return wrong_arrays(flow, grad, expected, n, path == "log_det")
    wrong, pairs = [], []
    for b in range(min(value[0].size, ENTRIES)):
        for row in range(min(n, 3)):
            v = np.zeros(value.shape)
            v.reshape(n, -1)[row, b] = 1
            pair = (grad * v).sum(), expected(v)
            if not np.isclose(*pair, rtol=1e-6, atol=1e-6):
                wrong, pairs = [*wrong, b], [*pairs, pair]
    if not wrong:
        return ""
    cause = cause_of_gradient(*np.array(pairs).T, n, path == "log_det")
    return f" The gradient is wrong for {some(sorted(set(wrong)), 'coordinate')}{cause}{end(cause)}"


def wrong_arrays(flow, grad, expected, n=None, through_log_det=False):
    """Which named arrays the wrong part of grad_theta belongs to; ``expected(w)`` is the derivative in direction w.

    The directions here are fixed: messages do not depend on a generator.
    """
    rng, wrong = np.random.default_rng(0), []
    for name, block in (flow.named(grad) if hasattr(flow, "named") else {"theta": grad}).items():
        pairs = []
        for _ in range(3):
            w, size = np.zeros_like(grad), block.size
            view = flow.named(w)[name] if hasattr(flow, "named") else w
            view[...] = rng.standard_normal(block.shape)
            pairs.append(((block * view).sum(), expected(w)))
        got, want = np.array(pairs).T
        if size and not np.allclose(got, want, rtol=1e-6, atol=1e-6):
            entry = _worst_entry(flow, name, block, grad, expected)
            wrong.append(name + (cause_of_gradient(got, want, n, through_log_det) or entry))
    return f" The gradient is wrong for {'; for '.join(wrong)}{end(wrong[-1])}" if wrong else ""


def _worst_entry(flow, name, block, grad, expected):
    """The entry of an array whose derivative is furthest from what it must be, among those of the largest gradient."""
    worst = (0.0, "")
    for flat in np.argsort(-np.abs(block), axis=None)[:ENTRIES]:
        index, w = np.unravel_index(flat, block.shape), np.zeros_like(grad)
        (flow.named(w)[name] if hasattr(flow, "named") else w)[index] = 1
        want = expected(w)
        if abs(block[index] - want) > worst[0]:
            cause = ": it has no influence, is a mask missing?" if abs(want) < 1e-12 else ""
            worst = abs(block[index] - want), (f", worst at {name}[{', '.join(map(str, index))}]: expected "
                                               f"{want:.6g}, got {block[index]:.6g}{cause}")
    return worst[1]


def check_loss(loss, model, rng=0):
    """The gradient that ``value, gradient = loss(model)`` gives is that of the value: by Richardson's differences.

    Parameters
    ----------
    loss : function
        Of the model, whose theta is moved and put back: ``lambda model: nf.negative_log_likelihood(model, x)``. A loss
        that draws noise must draw the same noise every time: give it a seed, not a Generator.
    model : NormalizingFlow, or anything with `theta`
    rng : None, int or Generator
        For the direction in which the gradient is tested.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> model = nf.NormalizingFlow(nf.testing.zoo(rng=0)["maf"][0])
    >>> check_loss(lambda model: nf.reverse_kl(model, nf.StandardNormal(3), n=50, rng=0), model) < 1e-6
    True
    """
    rng, theta = as_rng(rng), model.theta.copy()
    value, gradient = loss(model)
    require(np.ndim(value) == 0 and np.shape(gradient) == theta.shape, "check_loss",
            f"expected one number and a gradient of shape {theta.shape}, got shapes {np.shape(value)}, "
            f"{np.shape(gradient)}")
    require(loss(model)[0] == value, "check_loss",
            "expected the same value from the same call, got another one: is noise drawn anew each time? "
            "The gradient then belongs to another value")

    def along(w):
        def curve(t):
            try:
                model.theta[...] = theta + t * w
                return loss(model)[0]
            finally:
                model.theta[...] = theta
        return curve

    w = rng.standard_normal(theta.shape)
    if has_kink(along(w)):
        raise NotApplicable("check_loss: the loss has a kink (of a ReLU) at this theta; move theta, or take tanh")
    expected, got = float(richardson(along(w))), float(gradient @ w)
    error = float(abs(got - expected) / (1 + abs(expected) + np.abs(gradient * w).sum()))
    require_small(np.array([error]), ROUGH, "check_loss", lambda i: (
        f"expected a directional derivative of {expected:.9g}, got {got:.9g}."
        + _cause_of_loss(getattr(model, "flow", model), gradient, lambda w: float(richardson(along(w))))))
    return error


def _cause_of_loss(part, gradient, expected):
    directions = np.random.default_rng(0).standard_normal((3, len(gradient)))
    cause = cause_of_gradient(directions @ gradient, np.array([expected(w) for w in directions]))
    return f" All of the gradient{cause}{end(cause)}" if cause else wrong_arrays(part, gradient, expected)
