"""What all checks share: where a direction starts, which parts of the contract a flow has, tolerances, and
complaints.
"""
import numpy as np

from nfnumpy.flow import Flow

# Round trips lose what the conditioning of the map costs, a few digits in float64; float32 starts with seven.
ROUND_TRIP = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-3}
NUDGE = 1e-3                                                     # how far derivative checks go from a kink
MOVED = " (There is a kink at x itself: this is a thousandth away from it.)"
DIRECTIONS = (("forward", "inverse"), ("inverse", "forward"))


class NotApplicable(Exception):
    """A check that this flow gives no occasion for: it has no vjps, or no theta. `check_flow` lists it as skipped."""


def has(flow, name):
    """Whether a flow has the method `name`: a stranger's may lack it, and `Flow` itself only has placeholders for vjps.

    A flow made from flows has vjps if all of them have.
    """
    placeholder = name.endswith("_vjp") and getattr(type(flow), name, None) is getattr(Flow, name)
    children = [getattr(flow, child) for child in getattr(flow, "_children", ())]
    flows = [child for child in children if isinstance(child, Flow)]
    below = all(has(child, vjp) for child in flows for vjp in ("forward_vjp", "inverse_vjp"))
    return callable(getattr(flow, name, None)) and not placeholder and (below or not name.endswith("_vjp"))


def require_flow(flow):
    """TypeError for what is not a flow: a class, a model, an object without the two directions.

    >>> import nfnumpy as nf
    >>> require_flow(nf.maf(dim=2))
    Traceback (most recent call last):
        ...
    TypeError: flow: expected a flow, got a NormalizingFlow; check model.flow, or check_density(model, ...)
    """
    name, methods = type(flow).__name__, ("forward", "inverse")
    if isinstance(flow, type):
        raise TypeError(f"flow: expected a flow, got the class {flow.__name__}; call it first")
    missing = [method for method in methods if not callable(getattr(flow, method, None))]
    if missing and hasattr(flow, "log_prob"):
        has_flow, grey = hasattr(flow, "flow"), hasattr(flow, "grey_levels")
        hints = ["check model.flow"] if has_flow else []
        if not (has_flow and grey):                              # such a model's samples are rounded: no check of both
            hints.append(f"check_{'samples' if grey else 'density'}(model, ...)")
        raise TypeError(f"flow: expected a flow, got {an(name)}; {', or '.join(hints)}")
    if missing:
        raise TypeError(f"flow: expected a flow with forward and inverse, got {an(name)} without "
                        f"{' and '.join(missing)}")
    if not any(_implements(flow, method) for method in methods):
        raise TypeError(f"flow: expected a flow with forward and inverse, or their vjps, got {an(name)}, which "
                        "implements none of them")


def _implements(flow, method):
    """Whether a direction, or its vjp, is a flow's own, and not the placeholder of `Flow`."""
    return getattr(type(flow), method, None) is not getattr(Flow, method) or has(flow, method + "_vjp")


def an(name):
    """A name with its article.

    >>> an("output"), an("log_det")
    ('an output', 'a log_det')
    """
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def require_parts(flow, check, *names):
    """NotApplicable, where the flow lacks one of the `names`."""
    missing = [name for name in names if not (hasattr(flow, name) if name == "theta" else has(flow, name))]
    if missing:
        raise NotApplicable(f"{check}: {type(flow).__name__} has no {' and no '.join(missing)}")


def dtype_of(flow, x):
    """The dtype of theta, or of x where a stranger's flow has no theta."""
    theta = getattr(flow, "theta", None)
    return theta.dtype if isinstance(theta, np.ndarray) else np.asarray(x).dtype


def start(flow, method, x):
    """Where a direction starts: x itself, or, for the inverse, the image of x, which is a valid z for any flow."""
    return np.asarray(x) if method == "forward" else flow.forward(x)[0]


def in_float64(flow, x, check):
    """Derivatives are compared in double precision: a float32 flow is checked as its float64 copy."""
    x = np.asarray(x, np.float64)
    if dtype_of(flow, x) == np.float64:
        return flow, x
    if not hasattr(flow, "astype"):
        raise NotApplicable(f"{check}: derivatives need float64, {type(flow).__name__} has parameters of "
                            f"{flow.theta.dtype} and no astype")
    return flow.astype(np.float64), x


def show(values):
    """Numbers as a person reads them, on one line.

    >>> show(np.array([[1.0, 1 / 3]]))
    '[[1.      , 0.333333]]'
    """
    return np.array2string(np.asarray(values), precision=6, separator=", ", threshold=8).replace("\n", "")


def some(indices, word, most=8):
    """Which of them, in words.

    >>> some([2], "coordinate"), some(range(12), "row")
    ('coordinate 2', 'rows 0, 1, 2, 3, 4, 5, 6, 7 and 4 more')
    """
    indices = [str(int(i)) for i in indices]
    rest = f" and {len(indices) - most} more" if len(indices) > most else ""
    return f"{word}{'s' if len(indices) > 1 else ''} {', '.join(indices[:most])}{rest}"


def require(holds, check, message):
    """AssertionError ``check: message`` unless it `holds`."""
    if not holds:
        raise AssertionError(f"{check}: {message}")


def require_small(error, tolerance, check, message):
    """Every entry of `error`, ``(n, ...)``, at most `tolerance`; NaN is never small. `message` takes the worst row."""
    excess = np.where(np.isnan(error), np.inf, error) / tolerance
    if (excess > 1).any():
        row = int(np.unravel_index(np.argmax(excess), excess.shape)[0])
        raise AssertionError(f"{check}: {message(row)}")


def theta_in_words(flow, most=6):
    """At which parameters a flow failed: all of a small theta by name, so that the failure can be repeated by hand.

    >>> from nfnumpy.flows.elementwise import Diagonal
    >>> theta_in_words(Diagonal(2)), theta_in_words(Diagonal(9))
    (' At theta: log_diagonal = [0., 0.], b = [0., 0.].', '')
    """
    theta = getattr(flow, "theta", np.empty(0))
    if not 0 < theta.size <= most:
        return ""
    arrays = flow.named() if hasattr(flow, "named") else {"theta": theta}
    return f" At theta: {', '.join(f'{name} = {show(array)}' for name, array in arrays.items())}."
