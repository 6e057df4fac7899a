"""Property checks on any object with the contract of `nfnumpy.flow.Flow`: the package's flows and a student's.

Each check returns the worst error that it saw, as a number, and raises an AssertionError that says which property
fails, where, what was expected, what came, and what usually causes it. Derivatives to compare with come from
`nfnumpy.testing.derivatives`, never from the flow's own backward pass. `check_flow` runs those that every flow must
pass; the others need to know more: `check_dependence` a pattern, `check_given` contexts, `check_initialize` and
`check_extremes` what a flow claims, `check_density` and `check_samples` a model, `check_loss` a loss, `check_dequantize`
and `check_bits` functions of whole grey values.
"""
import warnings

import numpy as np

from nfnumpy.arrays import as_rng
from nfnumpy.testing.calculus import check_invertible, check_log_det
from nfnumpy.testing.common import NotApplicable, an, require_flow
from nfnumpy.testing.contract import check_batching, check_dtype, check_pure, check_shapes, check_theta
from nfnumpy.testing.gradients import check_vjp

# In this order: what a later check takes for granted, an earlier one has seen.
CHECKS = {"check_shapes": check_shapes, "check_theta": check_theta, "check_invertible": check_invertible,
          "check_log_det": check_log_det, "check_vjp": check_vjp, "check_batching": check_batching,
          "check_pure": check_pure, "check_dtype": check_dtype}
DRAWING = ("check_theta", "check_vjp", "check_pure")             # these take an rng


class Report(dict):
    """What `check_flow` returns: ``{name of check: worst error}``, and `skipped`, ``{name of check: why}``."""

    def __init__(self, errors=(), skipped=()):
        super().__init__(errors)
        self.skipped = dict(skipped)


def check_flow(flow, x, rng=0):
    """Run all checks on the flow, at its present theta, with the batch x: ``{name of check: worst error}``.

    Parameters
    ----------
    flow : Flow, or anything that keeps its contract
        A stranger's flow need not have all of it: with `forward` and `inverse` alone it gets the checks that apply, and
        the others are listed in the result's `skipped` and in a UserWarning. Complex input may be refused, and absolute
        values taken: differences stand in for complex steps there. At kinks (of a ReLU) derivatives are taken a step
        away.
    x : array ``(n, *flow.x_shape)``
        A valid batch, of at least two rows that differ.
    rng : None, int or Generator
        For the directions in which gradients are tested.

    Raises
    ------
    AssertionError
        At the first property that does not hold.
    ValueError
        For a batch of fewer than two rows.
    TypeError
        For a class, a model, or an object without `forward` and `inverse`, or to which no check of the map applies.

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
    require_flow(flow)
    if np.ndim(x) < 2 or len(x) < 2:
        raise ValueError(f"x: expected a batch of at least two rows, got an array of shape {np.shape(x)}")
    rng, report = as_rng(rng), Report()
    for name, check in CHECKS.items():
        try:
            report[name] = check(flow, x, rng) if name in DRAWING else check(flow, x)
        except (NotApplicable, NotImplementedError) as reason:
            report.skipped[name] = f"{name}: {str(reason).removeprefix(f'{name}: ')}"
    if report.keys() <= {"check_theta"}:                         # which holds for any flow without parameters
        raise TypeError(f"flow: expected one whose map can be checked, got {an(type(flow).__name__)}: "
                        f"{'; '.join(report.skipped.values())}")
    if report.skipped:
        warnings.warn(f"check_flow: skipped {'; '.join(report.skipped.values())}", UserWarning, stacklevel=2)
    return report
