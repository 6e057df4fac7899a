"""The Gaussian autoregressive flow of the lecture, known elsewhere as a layer of MAF."""
import numpy as np

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.flows.conditional import ConditionalFlow
from nfnumpy.flows.permutation import as_order
from nfnumpy.nets import MADE
from nfnumpy.nets.by_degree import ByDegree


class GaussianAutoregressive(ConditionalFlow):
    """z_j = (x_j - mu_j(x_{1:j-1})) / sigma_j(x_{1:j-1}): a masked autoregressive conditioner, an affine transformer.

    For one sample, as on the slides::

        x = g(z):   x_j = sigma_j(x_{1:j-1}) z_j + mu_j(x_{1:j-1})          one coordinate after another
        z = f(x):   z_j = (x_j - mu_j(x_{1:j-1})) / sigma_j(x_{1:j-1})      all at once
        log abs det J_f = - sum_j log sigma_j(x_{1:j-1})                     J_f is triangular

    Formulas
    --------
    where:         log_sigma(x) = 5 * tanh(r(x) / 5)
                   sigma(x) = exp(log_sigma(x))
    f:             z = (x - mu(x)) / sigma(x)
    g:             for j in order: x[j] = sigma(x)[j] * z[j] + mu(x)[j]
    log abs det:   log_det = -sum(log_sigma(x))
    adjoint of f:  grad_mu = -grad_z / sigma(x)
                   grad_log_sigma = -grad_z * z - grad_log_det
                   grad_x = grad_z / sigma(x) + J(mu(x), x).T @ grad_mu + J(log_sigma(x), x).T @ grad_log_sigma
                   grad_theta = J(mu(x), theta).T @ grad_mu + J(log_sigma(x), theta).T @ grad_log_sigma
    adjoint of g:  v = solve(J(f(x), x).T, grad_x - grad_log_det * J(log_det_f(x), x))
                   grad_z = v
                   grad_theta = -J(f(x), theta).T @ v - grad_log_det * J(log_det_f(x), theta)

    where mu(x) and r(x) are the network's outputs, masked so that mu(x)[j] and r(x)[j] depend on x_{1:j-1} only. log
    sigma is softly bounded: see `Affine`.

    With a standard-normal base the density of this flow *is* the product of the conditionals
    N(x_j; mu_j(x_{1:j-1}), sigma_j(x_{1:j-1})^2).

    Parameters
    ----------
    dim : int
        m. With m = 1 the flow is an elementwise affine map.
    hidden : tuple of int
        Widths of MADE's hidden layers.
    activation : {"relu", "tanh"}
    order : {"natural", "reversed", "random"} or sequence of int, optional
        ``order[j]`` is the index of the coordinate that comes (j+1)-th; default natural: 0, 1, ..., m - 1.
    rng : None, int or Generator
        For a random order and MADE's initial weights. A new flow is the identity: its last layer starts at zero.
    dtype : numpy dtype
        float64 or float32.
    transformer : {"affine", "additive", "spline", "mixture"} or Transformer, optional
        How each coordinate moves, given its parameters; the formulas above are those of the affine one. With another one
        the conditionals are no longer Gaussian.
    context, c
        k, the number of context values, and optionally the context: see `ConditionalFlow`. mu_j and sigma_j are then
        functions of c and x_{1:j-1}: in MADE the values of c are inputs of degree 0, which every output may see.

    Raises
    ------
    ValueError
        For dim < 1, an unknown activation or transformer, an order that is not a permutation, or a context or c that
        `ConditionalFlow` refuses.

    Notes
    -----
    `inverse_vjp` by the implicit function theorem. x = g(z) satisfies f(x; theta) = z, and log_det_g(z) = -log_det(x; theta)
    with log_det = log abs det J_f. Write J for J_f at x and w for grad_log_det. Differentiating f(x; theta) = z gives::

        dz = J dx + (df/dtheta) dtheta       so       dx = J^-1 (dz - (df/dtheta) dtheta)

    and the loss changes by ``dl = grad_x . dx + w d(log_det_g) = (grad_x - w dlog_det/dx) . dx - w (dlog_det/dtheta) . dtheta``.
    Let v solve the triangular system ``J^T v + w dlog_det/dx = grad_x``; the log-determinant's pull stands *inside* it. Then::

        dl = v . dz - ((df/dtheta)^T v + w dlog_det/dtheta) . dtheta

    The left side of the system and the last bracket are what f's own vjp returns for (v, w): solve
    ``vjp(v, w) = (grad_x, t)`` for v, and ``grad_z = v``, ``grad_theta = -t``. With D = diag(dz_j/dx_j), J^T is D plus
    a strictly triangular matrix, so that ``v <- v + D^-1 (grad_x - vjp(v, w)[0])`` multiplies the error by a strictly
    triangular, hence nilpotent, matrix: after m sweeps v is exact.

    References
    ----------
    Lecture 2, "Gaussian autoregressive model" and "Gaussian autoregressive NF".
    Papamakarios, Pavlakou, Murray: Masked Autoregressive Flow for Density Estimation, 2017.

    Examples
    --------
    >>> flow = GaussianAutoregressive(dim=3, rng=0)
    >>> z, log_det = flow.forward(np.ones((5, 3)))
    >>> z.shape, log_det.shape, flow.passes
    ((5, 3), (5,), (1, 3))
    """

    jacobian = "triangular"

    def __init__(self, dim, hidden=(64, 64), activation="relu", order=None, rng=None, dtype=np.float64,
                 transformer=None, context=0, c=None):
        dim = as_count(dim, "dim", minimum=1)
        rng = as_rng(rng)
        order = as_order(order, dim, rng)
        degrees = np.argsort(order) + 1                          # place of each coordinate in the order, from 1

        def build_net(k, n_params):
            return MADE([0] * k + degrees.tolist(), hidden, n_params, activation, rng, dtype)    # degree 0: seen by all

        super().__init__((dim,), build_net, transformer, context, c, {"order": order}, dtype)

    @property
    def passes(self):
        """One pass of MADE for the density, m for a sample."""
        return (1, len(self.order))

    def conditionals(self, x):
        """``mu, log_sigma`` of p(x_j | x_{1:j-1}) = N(mu_j, sigma_j^2), each ``(n, m)``; the base being standard normal.

        A TypeError where the transformer has no mu and sigma, since the conditionals are not Gaussian then.
        """
        if not hasattr(self.transformer, "mu_and_log_sigma"):
            raise TypeError(f"conditionals: expected a flow with the affine transformer, got one with {self.transformer!r}")
        return self.transformer.mu_and_log_sigma(self.net.vjp(self.beside_context(self.as_x(x)))[0])

    def forward_vjp(self, x):
        """``(z, log_det), vjp``: MADE gives all mu_j and log sigma_j in one pass."""
        (z, log_det), vjp, _ = self._forward_vjp(self.as_x(x))
        return (z, log_det), vjp

    def _forward_vjp(self, x):
        params, net_vjp = self.net.vjp(self.beside_context(x))   # mu_j, r_j from c and x_{1:j-1}
        (z, log_det), transformer_vjp = self.transformer.forward_vjp(x, params)

        def vjp(grad_z, grad_log_det, out=None):
            grad_x, grad_params = transformer_vjp(grad_z, grad_log_det)
            grad_through_net, grad_theta = net_vjp(grad_params, out)
            grad_through_net = grad_through_net[:, self.context:]
            return grad_x + grad_through_net, grad_theta         # x_j moves z_j itself, and every later mu and sigma

        return (z, log_det), vjp, transformer_vjp

    def inverse(self, z):
        """``x, log_det``: coordinate by coordinate, each from those before it; see `inverse_by_passes`.

        Every hidden unit of MADE is computed once, when its last input becomes known: one pass in arithmetic.
        """
        return self._inverse(self.as_z(z))[:2]

    def _inverse(self, z):
        x, log_det = np.empty_like(z), np.zeros(len(z), z.dtype)
        sweep, params = ByDegree(self.net, len(z), z.dtype), []
        sweep.set_input(0, self.beside_context(z)[:, :self.context])
        for d, j in enumerate(self.order):
            params.append(sweep.params_after(d)[:, None, :])     # mu_j, r_j from x_{1:j-1}
            (x_j, log_det_j), _ = self.transformer.inverse_vjp(z[:, [j]], params[d])
            sweep.set_input(d + 1, x_j)                          # x_j = sigma_j(x_{1:j-1}) z_j + mu_j(x_{1:j-1})
            x[:, [j]], log_det = x_j, log_det + log_det_j
        return x, log_det, sweep, params

    def inverse_by_passes(self, z):
        """What `inverse` computes, as the slide writes it: m passes of the whole network, plain to read.

        A pass gives every mu_j and sigma_j; the one used is that of the next coordinate, whose inputs are complete. After
        the last pass all parameters are, and so is the log-determinant.
        """
        z = self.as_z(z)
        x = np.zeros_like(z)
        for j in self.order:
            params, _ = self.net.vjp(self.beside_context(x))
            (candidate, log_det), _ = self.transformer.inverse_vjp(z, params)
            x[:, j] = candidate[:, j]                            # x_j = sigma_j(x_{1:j-1}) z_j + mu_j(x_{1:j-1})
        return x, log_det

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``: the class's notes derive the adjoint; see `inverse_vjp_by_sweeps`.

        J^T v + w dlog_det/dx = grad_x is triangular and solved by substitution, the last coordinate first. Every hidden unit of
        MADE is pulled back once, when the last output that it reaches has its gradient: one backward pass in arithmetic.
        """
        x, log_det, sweep, params = self._inverse(self.as_z(z))

        def vjp(grad_x, grad_log_det, out=None):
            v, from_later = np.empty_like(x), np.zeros((len(x), 1), x.dtype)
            sweep.start_backward()
            for d, j in reversed(list(enumerate(self.order))):
                # row j of the system: slope_j v_j + w d log slope_j / dx_j + from_later = grad_x_j
                _, transformer_vjp = self.transformer.inverse_at(x[:, [j]], params[d])
                v_j, grad_params = transformer_vjp(grad_x[:, [j]] - from_later, grad_log_det)
                sweep.set_grad_params(d + 1, -grad_params[:, 0])         # t is minus the gradient of the parameters
                from_later = sweep.grad_input_of(d)              # what later outputs send to the coordinate before
                v[:, [j]] = v_j
            grad_theta = sweep.grad_theta(out)                   # t = (df/dtheta)^T v + w dlog_det/dtheta
            return v, np.negative(grad_theta, out=grad_theta)

        return (x, log_det), vjp

    def inverse_vjp_by_sweeps(self, z):
        """What `inverse_vjp` computes, as the class's notes derive it: m sweeps of the whole vjp, plain to read."""
        x, log_det = self.inverse_by_passes(z)
        _, forward_vjp, transformer_vjp = self._forward_vjp(x)
        slope, _ = transformer_vjp(np.ones_like(x), 0.0)         # D: dz_j / dx_j, 1 / sigma_j of the affine one

        def vjp(grad_x, grad_log_det, out=None):
            v = np.zeros_like(x)
            for _ in self.order:                                 # solve J^T v + w dlog_det/dx = grad_x, exact after m sweeps
                v = v + (grad_x - forward_vjp(v, grad_log_det)[0]) / slope
            _, grad_theta = forward_vjp(v, grad_log_det, out)    # t = (df/dtheta)^T v + w dlog_det/dtheta
            return v, np.negative(grad_theta, out=grad_theta)

        return (x, log_det), vjp

    def config(self):
        return {"dim": len(self.order), "hidden": self.net.sizes[1:-1], "activation": self.net.activation.__name__,
                "order": self.order, **super().config()}
