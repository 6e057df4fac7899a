"""The one contract that every normalizing flow in this package keeps, and the two ways to build flows from flows."""
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

    Notes
    -----
    Every log_det has shape ``(n,)``, is in nats, and belongs to the direction that was called: `inverse` returns
    log abs det J_g = -log abs det J_f.

    A vjp (vector-Jacobian product) takes the gradients of a scalar loss with respect to both outputs and returns those
    with respect to the input and to theta, each of the shape of what it belongs to; ``grad_log_det`` is ``(n,)`` or one
    number for all samples. ``vjp(..., out=v)`` writes grad_theta into the caller's vector `v`. Outputs and gradients
    have theta's dtype; complex input is allowed, since the tests differentiate by complex steps. A vjp belongs to the
    input and the theta of its forward computation: call it before either is written to.

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
        self.x_shape = tuple(x_shape)
        self.z_shape = self.x_shape if z_shape is None else tuple(z_shape)

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
        children = {name: self.__dict__[name] for name in self._children}
        bound = {name: child.given(c) for name, child in children.items() if isinstance(child, Flow)}
        return self if all(bound[name] is children[name] for name in bound) else self.sharing(**bound)

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


class Composition(Flow):
    """z = f_K(... f_2(f_1(x))): one flow after another (lecture 2, "Composition of normalizing flows").

    Formulas
    --------
    where:         steps = range(1, K + 1)
    f:             h[0] = x
                   for k in steps: h[k] = f[k](h[k - 1])
                   z = h[K]
    g:             h[K] = z
                   for k in reversed(steps): h[k - 1] = g[k](h[k])
                   x = h[0]
    log abs det:   log_det = sum(log_det_f[k](h[k - 1]) for k in steps)
    adjoint of f:  grad_h[K] = grad_z
                   for k in reversed(steps): grad_h[k - 1], grad_theta[k] = adjoint_f[k](grad_h[k], grad_log_det)
                   grad_x = grad_h[0]
    adjoint of g:  grad_h[0] = grad_x
                   for k in steps: grad_h[k], grad_theta[k] = adjoint_g[k](grad_h[k - 1], grad_log_det)
                   grad_z = grad_h[K]

    where adjoint_f[k] and adjoint_g[k] are the adjoints of flow k. The chain rule multiplies the Jacobians, so
    log-determinants add, each taken at the input of its own flow; the inverses come in reverse order.

    Parameters
    ----------
    flows : list of Flow
        In the order in which `forward` applies them. Each must be free: one that is part of another flow is refused.
    reversible : bool
        Keep no activations between forward and backward pass: a vjp then goes back through the inverses and takes each
        step once more on its recomputed input. Memory no longer grows with the number of flows; the gradient costs an
        inverse and a forward more, and differs by their round-trip error. The attribute may be changed at any time.

    Raises
    ------
    TypeError
        For something else than a list of flows.
    ValueError
        For an empty list, a flow bound elsewhere, or neighbours whose shapes do not meet.

    Examples
    --------
    >>> import numpy as np, nfnumpy as nf
    >>> flow = nf.Composition([nf.Permutation([1, 0]), nf.Permutation([1, 0])])
    >>> z, log_det = flow.forward(np.array([[3.0, 4.0]]))
    >>> z, log_det
    (array([[3., 4.]]), array([0.]))
    """

    def __init__(self, flows, reversible=False):
        flows = as_flows(flows, "flows")
        for k, (first, second) in enumerate(zip(flows, flows[1:])):
            if first.z_shape != second.x_shape:
                raise ValueError(f"flows: expected flow {k + 1} to take samples of shape {first.z_shape}, the shape "
                                 f"that flow {k} gives, got a {type(second).__name__} that takes {second.x_shape}")
        super().__init__(flows[0].x_shape, flows[-1].z_shape,
                         children={str(k): flow for k, flow in enumerate(flows)}, dtype=flows[0].dtype)
        self.reversible = bool(reversible)

    @property
    def flows(self):
        """The flows, in the order in which `forward` applies them."""
        return [self.__dict__[name] for name in self._children]

    @property
    def passes(self):
        """Passes of the conditioners, summed over the flows: (forward, inverse)."""
        return tuple(map(sum, zip(*(flow.passes for flow in self.flows))))

    @property
    def jacobian(self):
        """What the product of the steps' Jacobians surely is: one step's structure survives diagonal ones around it.

        Several others are "full" together, permutations excepted: two triangular matrices need not have the same order.
        """
        structures = {flow.jacobian for flow in self.flows}
        others = [flow.jacobian for flow in self.flows if flow.jacobian != "diagonal"]
        if len(structures) == 1 and ("diagonal" in structures or "permutation" in structures):
            return structures.pop()
        return others[0] if len(others) == 1 and others[0] != "permutation" else "full"

    def forward(self, x):
        """``z, log_det`` after all steps."""
        z, total = self.as_x(x), 0.0
        for flow in self.flows:
            z, log_det = flow.forward(z)
            total = total + log_det
        return z, total

    def inverse(self, z):
        """``x, log_det`` after undoing all steps, the last one first."""
        x, total = self.as_z(z), 0.0
        for flow in reversed(self.flows):
            x, log_det = flow.inverse(x)
            total = total + log_det
        return x, total

    def forward_vjp(self, x):
        """``(z, log_det), vjp``: the vjps are called in reverse order, each with the same grad_log_det."""
        steps = [(flow.forward_vjp, name) for flow, name in zip(self.flows, self._children)]
        if self.reversible:
            return self._chain_keeping_nothing(steps, [flow.inverse for flow in self.flows], self.as_x(x))
        return self._chain(steps, self.as_x(x))

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``: the same chain through the inverses."""
        steps = [(flow.inverse_vjp, name) for flow, name in zip(self.flows, self._children)][::-1]
        if self.reversible:
            return self._chain_keeping_nothing(steps, [flow.forward for flow in self.flows][::-1], self.as_z(z))
        return self._chain(steps, self.as_z(z))

    def _chain(self, steps, value):
        total, vjps = 0.0, []
        for step, name in steps:
            (value, log_det), vjp_k = step(value)                 # h_k = f_k(h_{k-1})
            total = total + log_det
            vjps.append((vjp_k, name))

        def vjp(grad, grad_log_det, out=None):
            grad_theta, parts = self.gradient(out)
            for vjp_k, name in reversed(vjps):                    # dL/dh_{k-1} = J_k^T dL/dh_k + d(log_det_k path)
                grad, _ = vjp_k(grad, grad_log_det, out=parts[name])
            return grad, grad_theta

        return (value, total), vjp

    def _chain_keeping_nothing(self, steps, steps_back, value):
        total = 0.0
        for step, _ in steps:
            (value, log_det), _ = step(value)
            total = total + log_det

        def vjp(grad, grad_log_det, out=None):
            (grad_theta, parts), h = self.gradient(out), value
            for (step, name), step_back in zip(reversed(steps), reversed(steps_back)):
                h, _ = step_back(h)                               # h_{k-1} = g_k(h_k), up to the round-trip error
                _, vjp_k = step(h)
                grad, _ = vjp_k(grad, grad_log_det, out=parts[name])
            return grad, grad_theta

        return (value, total), vjp

    def trajectory(self, x):
        """Yield ``z_k, log_det_k`` after each step k: where the samples are, and what that step alone did to volume."""
        z = self.as_x(x)
        for flow in self.flows:
            z, log_det = flow.forward(z)
            yield z, log_det

    def initialize(self, x):
        """Initialise each flow on what the flows before it, already initialised, make of x."""
        for flow in self.flows:
            x = flow.initialize(x)
        return x

    def config(self):
        return {"flows": self.flows, **({"reversible": True} if self.reversible else {})}


class Inverse(Flow):
    """The same map read backwards: its f is the inner flow's g, and the other way round.

    The inverse autoregressive flow (IAF) is ``Inverse(GaussianAutoregressive(...))`` and nothing else: fast to sample,
    slow to score.

    `initialize` takes nothing from data. The inner flow's own sets parameters by what goes *into* the inner flow: here
    that is f(x), which is not known before the parameters are.

    Formulas
    --------
    f:             z = flow.g(x)
    g:             x = flow.f(z)
    log abs det:   log_det = -flow.log_det_f(z)
    adjoint of f:  grad_x, grad_theta = flow.adjoint_g(grad_z, grad_log_det)
    adjoint of g:  grad_z, grad_theta = flow.adjoint_f(grad_x, grad_log_det)

    Raises
    ------
    TypeError
        For something else than a flow.
    ValueError
        For a flow bound elsewhere.

    Examples
    --------
    >>> import numpy as np, nfnumpy as nf
    >>> flow = nf.Inverse(nf.GaussianAutoregressive(dim=3, rng=0))
    >>> flow.passes
    (3, 1)
    """

    def __init__(self, flow):
        if not isinstance(flow, Flow):
            raise TypeError(f"flow: expected a flow, got a {type(flow).__name__}")
        super().__init__(flow.z_shape, flow.x_shape, children={"flow": flow}, dtype=flow.dtype)

    @property
    def passes(self):
        """The inner flow's, swapped."""
        return self.flow.passes[::-1]

    @property
    def jacobian(self):
        """The inner flow's: the inverse of a matrix of each of these structures has it too."""
        return self.flow.jacobian

    def forward(self, x):
        """``z, log_det``: the inner flow's inverse."""
        return self.flow.inverse(self.as_x(x))

    def inverse(self, z):
        """``x, log_det``: the inner flow's forward."""
        return self.flow.forward(self.as_z(z))

    def forward_vjp(self, x):
        """``(z, log_det), vjp``: the inner flow's inverse_vjp."""
        return self.flow.inverse_vjp(self.as_x(x))

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``: the inner flow's forward_vjp."""
        return self.flow.forward_vjp(self.as_z(z))

    def config(self):
        return {"flow": self.flow}
