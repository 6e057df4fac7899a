"""Transformers: how one coordinate moves, given parameters that its conditioner computed.

A transformer is an elementwise, monotone map between x and z. Its two directions and their adjoints are written once
and serve every conditioner: autoregressive and coupling. It has no theta of its own.
"""
import numpy as np

from nfnumpy.arrays import per_sample, sum_event


class Transformer:
    """What a transformer offers: `forward_vjp`, `inverse_vjp`, and how many parameters it takes for each coordinate.

    Shapes: x and z ``(n, ...)``, params ``(n, ..., n_params)``, log_det ``(n,)`` in nats. Parameters of zero are the
    identity, so that a new flow is one, and so that masking can switch a coordinate off.
    """

    n_params = 0

    def forward_vjp(self, x, params):
        """``(z, log_det), vjp`` with ``vjp(grad_z, grad_log_det) -> grad_x, grad_params``."""
        raise NotImplementedError(f"{type(self).__name__} does not implement forward_vjp")

    def inverse_vjp(self, z, params):
        """``(x, log_det), vjp`` with ``vjp(grad_x, grad_log_det) -> grad_z, grad_params``."""
        raise NotImplementedError(f"{type(self).__name__} does not implement inverse_vjp")

    def inverse_at(self, x, params):
        """``(x, log_det), vjp`` of g where x = g(z) is known already, by the implicit function theorem.

        f(x; p) = z gives dx = (dz - f_p dp) / f_x. With L = log f_x, and with loss gradients gx of x and gl of
        log_det_g = -L::

            v = (gx - gl L_x) / f_x,        dl/dz = v,      dl/dp = -(v f_p + gl L_p)

        What f's own vjp returns for (v, gl) is v f_x + gl L_x and v f_p + gl L_p.
        """
        (_, log_det), forward_vjp = self.forward_vjp(x, params)
        slope, _ = forward_vjp(np.ones_like(x), 0.0)             # f_x = dz/dx

        def vjp(grad_x, grad_log_det):
            through_slope, _ = forward_vjp(np.zeros_like(x), grad_log_det)   # gl L_x
            v = (grad_x - through_slope) / slope
            _, grad_params = forward_vjp(v, grad_log_det)        # v f_p + gl L_p
            return v, -grad_params

        return (x, -log_det), vjp

    def config(self):
        """The constructor's arguments."""
        return {}

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.config().items())})"


class Additive(Transformer):
    """x = z + mu, one coordinate at a time: volume stays as it is (NICE).

    Formulas
    --------
    f:             z = x - mu
    g:             x = z + mu
    log abs det:   log_det = 0
    adjoint of f:  grad_x = grad_z
                   grad_mu = -grad_z
    adjoint of g:  grad_z = grad_x
                   grad_mu = grad_x

    References
    ----------
    Dinh, Krueger, Bengio: NICE: Non-linear Independent Components Estimation, 2015.

    Examples
    --------
    >>> (z, log_det), vjp = Additive().forward_vjp(np.array([[5.0]]), np.array([[[3.0]]]))
    >>> z, log_det
    (array([[2.]]), array([0.]))
    """

    n_params = 1

    def forward_vjp(self, x, params):
        """``(z, log_det), vjp`` with ``vjp(grad_z, grad_log_det) -> grad_x, grad_params``."""
        def vjp(grad_z, grad_log_det):
            return grad_z, -grad_z[..., None]                    # dz/dmu = -1

        z = x - params[..., 0]
        return (z, np.zeros(len(z), z.dtype)), vjp

    def inverse_vjp(self, z, params):
        """``(x, log_det), vjp`` with ``vjp(grad_x, grad_log_det) -> grad_z, grad_params``."""
        def vjp(grad_x, grad_log_det):
            return grad_x, grad_x[..., None]                     # dx/dmu = 1

        x = z + params[..., 0]
        return (x, np.zeros(len(x), x.dtype)), vjp


class Affine(Transformer):
    """x = sigma z + mu, one coordinate at a time, with sigma = exp(log_sigma).

    ``params[..., 0]`` is mu. ``params[..., 1]`` is the network's raw r, from which log_sigma comes softly bounded.

    Formulas
    --------
    where:         log_sigma = bound * tanh(r / bound)
                   sigma = exp(log_sigma)
                   slope = 1 - (log_sigma / bound)**2
    f:             z = (x - mu) / sigma
    g:             x = sigma * z + mu
    log abs det:   log_det = -sum(log_sigma)
    adjoint of f:  grad_x = grad_z / sigma
                   grad_mu = -grad_x
                   grad_r = (-grad_z * z - grad_log_det) * slope
    adjoint of g:  grad_z = sigma * grad_x
                   grad_mu = grad_x
                   grad_r = (grad_x * sigma * z + grad_log_det) * slope

    where slope is d log_sigma / d r.

    Shapes: x and z ``(n, ...)``, params ``(n, ..., 2)``, log_det ``(n,)`` in nats.

    Examples
    --------
    >>> (z, log_det), vjp = Affine().forward_vjp(np.array([[5.0]]), np.array([[[3.0, 0.0]]]))
    >>> z, log_det
    (array([[2.]]), array([-0.]))
    """

    # A ReLU network is linear far out, so that an unbounded log sigma makes sigma overflow, or the log-density rise
    # without end, along half of all rays. Five allows sigma from 0.007 to 148 in one layer; in float64 sixty layers can
    # multiply their sigmas before anything overflows.
    bound = 5.0
    n_params = 2

    def mu_and_log_sigma(self, params):
        """What the parameters mean: mu, and log sigma = B tanh(r / B)."""
        return params[..., 0], self.bound * np.tanh(params[..., 1] / self.bound)

    def _bound_slope(self, log_sigma):
        return 1 - (log_sigma / self.bound) ** 2                 # dlog_sigma/dr

    def forward_vjp(self, x, params):
        """``(z, log_det), vjp`` with ``vjp(grad_z, grad_log_det) -> grad_x, grad_params``."""
        mu, log_sigma = self.mu_and_log_sigma(params)
        inv_sigma = np.exp(-log_sigma)
        z = (x - mu) * inv_sigma                                 # z = (x - mu) / sigma
        log_det = -sum_event(log_sigma)                          # log abs det J_f = - sum_j log_sigma_j

        def vjp(grad_z, grad_log_det):
            grad_x = grad_z * inv_sigma                          # dz/dx = 1 / sigma
            grad_params = np.empty_like(params)
            grad_params[..., 0] = -grad_x                        # dz/dmu = -1 / sigma
            grad_log_sigma = -grad_z * z - per_sample(grad_log_det, z)  # dz/dlog_sigma = -z, dlog_det/dlog_sigma = -1
            grad_params[..., 1] = grad_log_sigma * self._bound_slope(log_sigma)
            return grad_x, grad_params

        return (z, log_det), vjp

    def inverse_vjp(self, z, params):
        """``(x, log_det), vjp`` with ``vjp(grad_x, grad_log_det) -> grad_z, grad_params``."""
        mu, log_sigma = self.mu_and_log_sigma(params)
        sigma = np.exp(log_sigma)
        noise = sigma * z
        x = noise + mu                                           # x = sigma z + mu
        log_det = sum_event(log_sigma)                           # log abs det J_g = + sum_j log_sigma_j

        def vjp(grad_x, grad_log_det):
            grad_z = grad_x * sigma                              # dx/dz = sigma
            grad_params = np.empty_like(params)
            grad_params[..., 0] = grad_x                         # dx/dmu = 1
            grad_log_sigma = grad_x * noise + per_sample(grad_log_det, z)  # dx/dlog_sigma = sigma z, dlog_det/dlog_sigma = 1
            grad_params[..., 1] = grad_log_sigma * self._bound_slope(log_sigma)
            return grad_z, grad_params

        return (x, log_det), vjp
