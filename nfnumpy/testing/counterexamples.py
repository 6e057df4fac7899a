"""The smallest flow and batch at which a check fails: Hypothesis looks for one that can be checked by hand."""
import inspect
from typing import Any, NamedTuple

import numpy as np

from nfnumpy.arrays import as_rng
from nfnumpy.parametrized import Parametrized
from nfnumpy.testing.common import show
from nfnumpy.testing.zoo import randomize

DIMS = 4                                                         # the largest number of dimensions to look at
EXAMPLES = 100                                                   # of each number of dimensions


class Counterexample(NamedTuple):
    """What a check complains about, at its simplest; as text, the call that gives the flow, parameters and batch."""

    flow: Any
    x: np.ndarray
    message: str
    call: str = ""

    def __str__(self):
        theta = getattr(self.flow, "theta", np.empty(0))
        arrays = self.flow.named() if hasattr(self.flow, "named") else {"theta": theta}
        lines = [f"flow   {self.call or repr(self.flow)}",
                 *(f"{name:6} {show(array)}" for name, array in arrays.items() if array.size)]
        return "\n".join([*lines, f"x      {show(self.x)}", self.message])


def counterexample(check, build, dims=DIMS):
    """The smallest counterexample to `check` among the flows that `build` gives, or None; needs Hypothesis.

    Fewer dimensions first, then parameters and data near zero, in multiples of 1/8, and two rows of data.

    Parameters
    ----------
    check : function
        ``check(flow, x)`` raises an AssertionError where a property fails: one of `nfnumpy.testing`.
    build : function
        ``build(dim)`` gives a flow, or ``build()``, where it needs no argument; a class, for example. Or a flow: then
        only x varies.
    dims : int
        The largest number of dimensions to look at.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> class OneLogTwo(nf.Flow):
    ...     def __init__(self, dim):
    ...         super().__init__((dim,))
    ...     def forward(self, x):
    ...         return 2 * x, np.full(len(x), np.log(2))
    ...     def inverse(self, z):
    ...         return z / 2, np.full(len(z), -np.log(2))
    >>> print(counterexample(nf.testing.check_log_det, OneLogTwo))
    flow   OneLogTwo(2)
    x      [[0.   , 0.   ], [0.   , 0.125]]
    check_log_det: forward at row 0, x = [0., 0.]: expected log_det 1.38629 (numpy.linalg.slogdet), got 0.693147. All
    rows are off by the same factor 0.5: what was not counted, or counted twice?
    """
    import hypothesis                                            # here: the rest of this file does without
    from hypothesis import strategies as st

    from nfnumpy.testing import strategies

    given = hasattr(build, "forward") and not isinstance(build, type)

    @st.composite
    def cases(draw, dim):
        flow = build if given else call(build, dim)
        if not given and len(getattr(flow, "theta", ())):
            flow.theta[...] = draw(strategies.theta_for(flow))
        return flow, draw(strategies.batches(shape_of(flow)))

    def complaint(case):
        try:
            check(*case)
        except AssertionError as error:
            return str(error)
        except Exception:                                        # outside of its domain a flow may raise what it likes
            return None

    settings = hypothesis.settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
                                   phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
                                   suppress_health_check=list(hypothesis.HealthCheck))
    for dim in range(1, dims + 1 if not given and takes_dim(build) else 2):
        try:
            case = hypothesis.find(cases(dim), lambda case: complaint(case) is not None, settings=settings)
        except hypothesis.errors.NoSuchExample:
            continue
        return Counterexample(*case, complaint(case), "" if given else call_in_words(build, dim))
    return None


def takes_dim(build):
    """Whether a class or function wants an argument."""
    try:
        parameters = inspect.signature(build).parameters.values()
    except ValueError:                                           # written in C
        return False
    return any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def call(build, dim):
    """What a class or function gives that takes the number of dimensions, or nothing."""
    return build(dim) if takes_dim(build) else build()


def call_in_words(build, dim):
    """The same call as one writes it; nothing for a function without a name.

    >>> import nfnumpy as nf
    >>> call_in_words(nf.Coupling, 2), call_in_words(lambda dim: nf.Coupling(dim), 2)
    ('Coupling(2)', '')
    """
    name = getattr(build, "__name__", "")
    return f"{name}({dim if takes_dim(build) else ''})" if name.isidentifier() else ""


def shape_of(flow):
    """The shape of one sample; one number, where a stranger's flow does not say.

    >>> import nfnumpy as nf
    >>> shape_of(nf.Permutation([1, 0]))
    (2,)
    """
    return tuple(getattr(flow, "x_shape", (1,)))


def random_theta(flow, rng=None):
    """Random parameters for a flow, ``(n_params,)``: those of `randomize`, or, for a stranger's flow, 0.1 N(0, 1) from
    where they are. The flow is left alone.
    """
    rng = as_rng(rng)
    if isinstance(flow, Parametrized):
        return randomize(flow.astype(flow.dtype), rng).theta
    return flow.theta + 0.1 * rng.standard_normal(len(flow.theta)).astype(flow.theta.dtype)
