"""The one contract that every normalizing flow in this package keeps."""
import numbers
from collections.abc import Iterable

from nfnumpy.parametrized import Parametrized


class Flow(Parametrized):
    """A differentiable, invertible map z = f(x) between data x and noise z, with x = g(z) its inverse.

    The change of variables (lecture 2, "Normalizing flows prerequisites") needs f and log abs det of its Jacobian::

        log p(x | theta) = log p(f(x)) + log abs det J_f(x),      J_f[a, b] = dz_a / dx_b

    A subclass implements `forward_vjp` and `inverse_vjp`, each a formula with its adjoint right below it; `forward` and
    `inverse` are the same computations without the adjoint.

    Parameters
    ----------
    x_shape, z_shape : tuple of int
        Shapes of one sample on either side, of equal size; ``(m,)`` for vectors, ``(height, width, channels)`` for
        images. `z_shape` defaults to `x_shape`.
    parameters, children, constants, dtype
        See `nfnumpy.parametrized.Parametrized`.

    Raises
    ------
    TypeError
        For a shape that is no tuple, such as a number.

    Notes
    -----
    Every log_det has shape ``(n,)``, is in nats, and belongs to the direction that was called: `inverse` returns
    log abs det J_g = -log abs det J_f.

    A vjp (vector-Jacobian product) takes the gradients of a scalar loss with respect to both outputs and returns those
    with respect to the input and to theta, each of the shape of what it belongs to; ``grad_log_det`` is ``(n,)`` or one
    number for all samples. ``vjp(..., out=v)`` writes grad_theta into the caller's vector `v`. Outputs and gradients
    have theta's dtype; complex input is allowed, since the tests differentiate by complex steps. A vjp belongs to the
    input and the theta of its forward computation: call it before either is written to.

    Rows do not see each other: a model hands parts of a large batch to several threads, each with forward or inverse and
    its vjp, whose grad_theta is new memory or `out`. A flow for which that is not so sets ``whole_batches = True``.

    `jacobian` names the structure of J_f, and so of J_g, for every theta, samples being flattened to vectors:

    ==================  ================================================================================================
    "permutation"       one 1 in each row and each column
    "diagonal"          every coordinate by itself
    "triangular"        in the flow's order of coordinates: z_j depends on the coordinates up to the j-th
    "block triangular"  diagonal, but for one block: half of the coordinates set how the others move
    "block diagonal"    of an image: the channels of each pixel by themselves
    "full"              no entry is promised to be zero
    ==================  ================================================================================================

    The first three are the cases of lecture 2, "Jacobian structure".
    """

    passes = (0, 0)     # passes of a conditioner, one after another, that the formulas of forward and inverse take
    jacobian = "full"   # the structure of J_f and J_g; see the notes

    def __init__(self, x_shape, z_shape=None, **parametrized):
        super().__init__(**parametrized)
        self.x_shape = _as_shape(x_shape, "x_shape")
        self.z_shape = self.x_shape if z_shape is None else _as_shape(z_shape, "z_shape")

    def forward(self, x):
        """``z, log_det``: the normalizing direction, z = f(x) and log abs det J_f."""
        return self.forward_vjp(x)[0]

    def inverse(self, z):
        """``x, log_det``: the sampling direction, x = g(z) and log abs det J_g."""
        return self.inverse_vjp(z)[0]

    def forward_vjp(self, x):
        """``(z, log_det), vjp`` with ``vjp(grad_z, grad_log_det, out=None) -> grad_x, grad_theta``."""
        raise NotImplementedError(f"{type(self).__name__} does not implement forward_vjp")

    def inverse_vjp(self, z):
        """``(x, log_det), vjp`` with ``vjp(grad_x, grad_log_det, out=None) -> grad_z, grad_theta``."""
        raise NotImplementedError(f"{type(self).__name__} does not implement inverse_vjp")

    def initialize(self, x):
        """``z`` of a batch x, after setting whatever the flow takes from data; without such parts just f(x)."""
        return self.forward(x)[0]

    def given(self, c):
        """The flow bound to the rows of a context c: the same contract, the same theta; itself, where it takes none."""
        return self.replacing(lambda part: part.given(c))

    def replacing(self, bind):
        """The same flow, on the same theta, of ``bind(part)`` in place of each of its flows; itself if none changes.

        `bind` gives the part itself, or one that shares its theta: bound to a context, or to noise.
        """
        parts = {name: self.__dict__[name] for name in self._children if isinstance(self.__dict__[name], Flow)}
        bound = {name: bind(part) for name, part in parts.items()}
        return self if all(bound[name] is parts[name] for name in bound) else self.sharing(**bound)

    def as_x(self, x):
        """`x` as a batch of ``x_shape`` and of theta's dtype, or a ValueError that says what came instead."""
        return self.as_batch(x, self.x_shape, "x")

    def as_z(self, z):
        """`z` as a batch of ``z_shape`` and of theta's dtype, or a ValueError that says what came instead."""
        return self.as_batch(z, self.z_shape, "z")


def as_flows(flows, name):
    """A list of at least one `Flow`; a TypeError for other things than flows, a ValueError for an empty list.

    >>> as_flows(Flow((2,)), "flows")
    Traceback (most recent call last):
        ...
    TypeError: flows: expected a list of flows, got a Flow; write [flow]
    """
    if isinstance(flows, Flow) or not isinstance(flows, Iterable):
        hint = "; write [flow]" if isinstance(flows, Flow) else ""
        raise TypeError(f"{name}: expected a list of flows, got a {type(flows).__name__}{hint}")
    flows = list(flows)
    for k, flow in enumerate(flows):
        if not isinstance(flow, Flow):
            raise TypeError(f"{name}: expected flows, got a {type(flow).__name__} at index {k}")
    if not flows:
        raise ValueError(f"{name}: expected at least one flow, got none")
    return flows


def _as_shape(shape, name):
    try:
        return tuple(shape)
    except TypeError:
        example = (shape,) if isinstance(shape, numbers.Integral) else (2,)
        raise TypeError(f"{name}: expected a tuple such as {example}, got {shape!r}") from None
