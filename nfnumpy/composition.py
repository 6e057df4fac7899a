"""Flows made of flows: one after another, and one read backwards."""
from nfnumpy.flow import Flow, as_flows


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
