"""The continuous-time flow: a neural ordinary differential equation, its log-determinant an integral of a trace."""
import numpy as np

from nfnumpy.arrays import as_array, as_batch, as_count, as_number
from nfnumpy.flow import Flow
from nfnumpy.flows.solver import integrate
from nfnumpy.nets.velocity import Velocity

FLOAT32 = 1e-6                                                   # tolerances below this would be lost in float32


class ContinuousFlow(Flow):
    """z = h(1), where dh/dt = v(h, t; theta) and h(0) = x: data drift to noise, and noise back when time is reversed.

    Formulas
    --------
    where:         div(x, t) = sum(diag(dv_dx(x, t)))
    f:             h = path(v, x, 0, 1)
                   z = h(1)
    g:             h = path(v, z, 1, 0)
                   x = h(0)
    log abs det:   log_det = integral(lambda t: div(h(t), t), 0, 1)
    adjoint of f:  w = grad_log_det
                   a = path(lambda a, t: -dv_dx(h(t), t).T @ a - w * ddiv_dx(h(t), t), grad_z, 1, 0)
                   grad_x = a(0)
                   grad_theta = integral(lambda t: dv_dtheta(h(t), t).T @ a(t) + w * ddiv_dtheta(h(t), t), 0, 1)
    adjoint of g:  w = grad_log_det
                   a = path(lambda a, t: -dv_dx(h(t), t).T @ a - w * ddiv_dx(h(t), t), grad_x, 0, 1)
                   grad_z = a(1)
                   grad_theta = integral(lambda t: dv_dtheta(h(t), t).T @ a(t) + w * ddiv_dtheta(h(t), t), 1, 0)

    where path(F, y, t_0, t_1) is the solution of dy/dt = F(y, t) that is y at time t_0, as a function of the time up to
    t_1; integral(F, t_0, t_1) is that of F; v is the network, and dv_dx and so on are derivatives of it and of div.

    Parameters
    ----------
    dim : int
        m.
    hidden, activation, rng, dtype
        Of the network v: see `nfnumpy.nets.velocity.Velocity`. A new flow is the identity.
    rtol, atol : float
        Of the solver: of a step's error in each row, relative and absolute. With 1e-10, the default, the flow keeps the
        round trips and gradients that the package states for every flow; for training, 1e-5 will do and takes half the
        time. In float32 they count as at least 1e-6; the solver itself works in float64.

    Raises
    ------
    ValueError
        For dim < 1, an activation that is not smooth, or a tolerance that is not positive.

    Notes
    -----
    *Existence.* tanh has a slope of at most 1, so that v is Lipschitz in x, with the product of the norms of its weight
    matrices as a constant: for every finite theta there is exactly one solution through each point, and for all times
    (Picard and Lindelof). Solutions do not meet, f is invertible, and its inverse is the same equation backwards. Where
    the constant is large, the equation is stiff and the solver gives up: a FloatingPointError.

    *The log-determinant* (Chen et al. 2018). Let D(t) = dh(t)/dx. Differentiating the equation with respect to x,
    dD/dt = J D with J = dv/dx, and by Jacobi's formula d log abs det D / dt = tr(D^-1 dD/dt) = tr(D^-1 J D) = tr J. A
    flow of many layers adds log-determinants; here they become an integral, and a trace costs less than a determinant.

    *The adjoint.* The loss depends on the end of h and, with the weight w = grad_log_det, on the integral of div. Let
    a(t) be its derivative with respect to h(t), all that comes later following from h(t). In a short time dt,
    h(t + dt) = h + dt v(h, t), and dt div(h, t) is added to the integral, so that::

        a(t) = (I + dt J)^T a(t + dt) + w dt ddiv/dx        hence       da/dt = -J^T a - w ddiv/dx

    The log-determinant's pull stands *inside* the equation. In the same short time theta adds
    (dv/dtheta)^T a dt + w ddiv/dtheta dt to the loss's derivative: grad_theta is the integral of that. Both are what
    the network's own vjp returns for (a, w), as it is the gradient of a . v + w div.

    The equation of a starts where h ends, with grad_z, and needs h on its way back: h is integrated backwards beside a,
    from z, in one system with grad_theta (backwards, so with the opposite sign). No activation of the network is kept,
    however many steps there are; in return, h on the way back is h on the way there only to the solver's tolerance,
    times what the flow backwards makes of errors. For g the two ends of time change places, and nothing else.

    *Hutchinson's estimator* (FFJORD, Grathwohl et al. 2019): see `hutchinson`. The exact trace takes m derivatives of
    the network, the estimate one.

    How many evaluations of v a call takes depends on theta, on x and on the tolerances: `evaluations` counts them, and
    `passes` stays zero.

    References
    ----------
    Chen, Rubanova, Bettencourt, Duvenaud: Neural Ordinary Differential Equations, 2018, theorem 1 and appendices A, B.
    Grathwohl, Chen, Bettencourt, Sutskever, Duvenaud: FFJORD, 2019, section 3.

    Examples
    --------
    >>> flow = ContinuousFlow(dim=2, hidden=())
    >>> flow.net.W0 = [[1.0, 0.0, 0.0], [0.0, -2.0, 0.0]]        # dx/dt = (x_1, -2 x_2), without t
    >>> z, log_det = flow.forward(np.ones((1, 2)))
    >>> z.round(6), log_det.round(6)                             # (e, e^-2), and 1 - 2
    (array([[2.718282, 0.135335]]), array([-1.]))
    """

    noise = None
    whole_batches = True                                         # rows share the solver's steps, and belong to rows of noise

    def __init__(self, dim, hidden=(64, 64), activation="tanh", rtol=1e-10, atol=1e-10, rng=None, dtype=np.float64):
        net = Velocity(as_count(dim, "dim", minimum=1), hidden, activation, rng, dtype)
        super().__init__((dim,), children={"net": net}, dtype=dtype)
        self.rtol, self.atol = (as_number(value, name, "a positive number", lambda number: number > 0)
                                for name, value in (("rtol", rtol), ("atol", atol)))

    def forward_vjp(self, x):
        """``(z, log_det), vjp``: from time 0 to 1; the class's notes derive the adjoint."""
        return self._move(self.as_x(x), 0, 1)[:2]

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``: the same from time 1 to 0."""
        return self._move(self.as_z(z), 1, 0)[:2]

    def _move(self, x, start, stop):
        """``(h, log_det), vjp, evaluations``: from h(start) = x to h(stop)."""
        (n, m), directions, nothing = x.shape, self._directions(x), np.empty(0)

        def equation(t, rows):                                   # a row is h, and the integral of div up to here
            d_rows = np.empty_like(rows)
            (d_rows[:, :m], d_rows[:, m]), _ = self.net.with_trace(rows[:, :m], t, directions)
            return d_rows, nothing

        rows, _, evaluations = self._integrate(equation, start, stop, np.append(x, np.zeros((n, 1)), axis=1), nothing)
        end, log_det = rows[:, :m], rows[:, m]

        def vjp(grad_end, grad_log_det, out=None):
            w = np.broadcast_to(grad_log_det, (n,))

            def adjoint(t, rows):                                # a row is h and a, the rest is grad_theta
                d_rows = np.empty_like(rows)
                (d_rows[:, :m], _), net_vjp = self.net.with_trace(rows[:, :m], t, directions)
                grad_h, grad_theta = net_vjp(rows[:, m:], w)     # J^T a + w ddiv/dx, (dv/dtheta)^T a + w ddiv/dtheta
                d_rows[:, m:] = -grad_h
                return d_rows, -grad_theta

            rows, total, _ = self._integrate(adjoint, stop, start, np.append(end, grad_end, axis=1),
                                             np.zeros(self.n_params))
            grad_theta, _ = self.gradient(out)
            grad_theta[...] = total
            return rows[:, m:].astype(self.dtype), grad_theta

        return (end.astype(x.dtype), log_det.astype(x.dtype)), vjp, evaluations

    def _integrate(self, equation, start, stop, rows, rest):
        floor = FLOAT32 if self.dtype == np.float32 else 0.0
        return integrate(equation, start, stop, rows, rest, max(self.rtol, floor), max(self.atol, floor))

    def _directions(self, x):
        """The vectors e whose e . J e add up to the trace, or to its estimate: ``(p, m)`` or ``(n, p, m)``."""
        if self.noise is None:
            return np.eye(x.shape[1])
        if self.noise.ndim == 2 and len(self.noise) != len(x):
            raise ValueError(f"noise: expected a row for each of the {len(x)} rows of the batch, got {len(self.noise)}")
        return self.noise[..., None, :]

    def hutchinson(self, noise):
        """The same flow, on the same theta, with e . J e in place of the trace, for the given noise e.

        For e with mean zero and covariance I the expectation of e . J e is tr J; among vectors of independent entries,
        signs have the least variance. The path is the same for every e, so that the estimate's integral is right on
        average too, and so is its gradient. But no single log_det is log abs det J_f: the estimate is for training.

        Noise is an argument, and constant during a solution: a solver that met another e at every step would find no
        smooth function, and a `log_prob` that drew its own would be no function of x. Give a fresh one to each step of
        training. With one that stays, maximum likelihood makes e . J e large and not the density: theta can turn J so
        that the estimate has as large an error as it likes.

        Parameters
        ----------
        noise : array ``(m,)``, or ``(n, m)`` for batches of n rows
            Signs, 1 and -1: the same for all rows, or a row for each, whose errors average out over the batch.

        Returns
        -------
        ContinuousFlow

        Raises
        ------
        ValueError
            For noise of another shape, complex or not finite.

        Examples
        --------
        >>> flow, rng = ContinuousFlow(dim=3, rng=0), np.random.default_rng(0)
        >>> noisy = flow.hutchinson(rng.choice([-1.0, 1.0], (5, 3)))
        >>> noisy.forward(np.ones((5, 3)))[1].shape, noisy.theta is flow.theta
        ((5,), True)
        >>> import nfnumpy as nf
        >>> whole = nf.Composition([nf.Standardize([0.0] * 3, [2.0] * 3), flow])
        >>> noisy = whole.replacing(lambda part: part.hutchinson(np.ones(3)) if part is flow else part)
        >>> noisy.forward(np.ones((5, 3)))[1].shape
        (5,)
        """
        noise, m = as_array(noise, "noise"), self.x_shape[0]
        if noise.ndim not in (1, 2) or noise.shape[-1] != m:
            raise ValueError(f"noise: expected an array of shape ({m},) or (n, {m}), got one of shape {noise.shape}")
        return self.sharing(noise=as_batch(noise, noise.shape[1:], np.float64, "noise", finite=True, real=True).copy())

    def trajectory(self, x, times):
        """Yield ``h, log_det`` at each of the `times` after the first, at which h is x; log_det is that since the last.

        >>> flow = ContinuousFlow(dim=1, hidden=())
        >>> flow.net.b0 = [3.0]                                  # dx/dt = 3
        >>> [h.round(9).tolist() for h, log_det in flow.trajectory([[0.0]], [0.0, 0.5, 1.0])]
        [[[1.5]], [[3.0]]]
        """
        h, times = self.as_x(x), [as_number(t, "times", "finite numbers", lambda number: True) for t in times]
        for start, stop in zip(times, times[1:]):
            (h, log_det), _, _ = self._move(h, start, stop)
            yield h, log_det

    def evaluations(self, x):
        """How many times `forward` evaluates v for the batch x."""
        return self._move(self.as_x(x), 0, 1)[2]

    def config(self):
        return {"dim": self.x_shape[0], "hidden": self.net.sizes[1:-1], "activation": self.net.activation.__name__,
                "rtol": self.rtol, "atol": self.atol}
