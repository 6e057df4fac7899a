"""The mixture of logistics as a transformer: flexible and smooth, with an inverse that is found by a search."""
import numpy as np

from nfnumpy.arrays import as_count, per_sample, sum_event
from nfnumpy.flows.increasing import increasing_root
from nfnumpy.flows.transformers import Transformer


class MixtureOfLogistics(Transformer):
    """z = log F(x) - log S(x), one coordinate at a time: F is the distribution function of a mixture, S = 1 - F.

    Formulas
    --------
    where:         pi = exp(a) / sum(exp(a))
                   log_s = bound * tanh(r / bound)
                   s = exp(log_s)
                   mu = m - c * tanh(log_s)
    f:             t = (x - mu) / s
                   F = sum(pi / (1 + exp(-t)))
                   S = sum(pi / (1 + exp(t)))
                   z = log(F) - log(S)
    g:             low, high = min(mu + s * z), max(mu + s * z)
                   for _ in range(100):
                       x = (low + high) / 2
                       above = sum(pi / (1 + exp((mu - x) / s))) > 1 / (1 + exp(-z))
                       low, high = (low, x) if above else (x, high)
    log abs det:   p = 1 / (1 + exp((mu - x) / s))
                   q = 1 - p
                   F = sum(pi * p)
                   S = sum(pi * q)
                   density = pi * p * q / s
                   log_det = log(sum(density)) - log(F) - log(S)
    adjoint of f:  below, above, at = pi * p / F, pi * q / S, density / sum(density)
                   z_t = below * q + above * p
                   l_t = at * (q - p) - below * q + above * p
                   grad_t = grad_z * z_t + grad_log_det * l_t
                   grad_x = sum(grad_t / s)
                   grad_a = grad_z * (below - above) + grad_log_det * (at - below - above + pi)
                   grad_m = -grad_t / s
                   grad_log_s = -grad_t * (x - mu) / s - grad_log_det * at - grad_m * c * (1 - tanh(log_s) ** 2)
                   grad_r = grad_log_s * (1 - (log_s / bound) ** 2)
    adjoint of g:  below, above, at = pi * p / F, pi * q / S, density / sum(density)
                   z_t = below * q + above * p
                   l_t = at * (q - p) - below * q + above * p
                   grad_z = (grad_x - grad_log_det * sum(l_t / s)) / sum(z_t / s)
                   grad_t = -grad_z * z_t - grad_log_det * l_t
                   grad_a = -grad_z * (below - above) - grad_log_det * (at - below - above + pi)
                   grad_m = -grad_t / s
                   grad_log_s = -grad_t * (x - mu) / s + grad_log_det * at - grad_m * c * (1 - tanh(log_s) ** 2)
                   grad_r = grad_log_s * (1 - (log_s / bound) ** 2)

    for one coordinate: x and z are numbers, as are F and S, and the other arrays have an entry for each of the K
    components, of weight pi, place mu and scale s; c are constants. The arrays below, above and at are posterior
    probabilities of the components, given a number below x, above x, or at x.

    The mixture has the density sum_k pi_k p_k q_k / s_k. With a logistic base density an autoregressive flow with this
    transformer would be the model whose conditionals are such mixtures. A mixture of equal components is affine: the
    log odds log p - log q of one logistic distribution function are (x - mu) / s.

    ``params[..., :K]`` give a, ``[K:2K]`` m and ``[2K:]`` r; log s is softly bounded, as in `Affine`.

    Parameters
    ----------
    components : int
        K, at least 1.

    Raises
    ------
    ValueError
        For components below 1 or above 500.

    Notes
    -----
    *The range.* F alone maps to (0, 1); the log odds map on to all of R. Far out z is (x - mu_k) / s_k plus a constant,
    of the component with the largest scale. F rounds to 1 there, so log S is not computed from it, but from the
    log pi_k + log q_k. In log dz/dx = log density - log F - log S two large numbers would cancel; on the right the code
    takes the logarithms of above * p / s instead, which are of density / S, and subtracts log F, which is near 0.

    *The slope* dz/dx = sum_k pi_k p_k q_k / s_k / (F S) is positive. Since p (1 - p) is concave, the sum of the
    pi_k p_k q_k is at most F S, and so the slope is at most 1 / min s. It has no lower bound: between components that
    are far apart, x has hardly any density, z hardly moves, and a given z hardly tells x. log dz/dx stays finite, but
    the adjoint of g divides by the slope itself and is not where that underflows (e^-745, in float32 e^-103).

    *Bracket.* F(x) is a weighted mean of the p_k = logistic(t_k), hence between the smallest and the largest of them.
    At low = min_k (mu_k + s_k z) every t_k is at most z, so F is at most logistic(z); at high = max_k (mu_k + s_k z)
    every t_k is at least z. The root lies between them: a quantile of a mixture lies between those of its components.
    F increases, so there is exactly one. `increasing_root` finds it on the scale of z, by safeguarded Newton steps.
    For complex input, by which tests differentiate, the imaginary part is that of one more Newton step.

    *The adjoint of g* is that of f at x, by the implicit function theorem: see `Transformer.inverse_at`.

    *Zero parameters and symmetry.* Parameters of zero must be the identity, and no mixture of different logistic
    distributions is the standard one: its components have to be equal there. Equal components that mean the same by
    their parameters have equal gradients for ever, and eight of them would learn what one can. So they do not mean the
    same: component k moves to its own place c_k as it narrows, and to the other side as it widens (tanh(log s) is
    (s^2 - 1) / (s^2 + 1)). The c_k are evenly spaced in [-3, 3], where standardised data are. To first order in its
    parameters the mixture remains affine near zero, however they are chosen. Training starts at a saddle, and takes
    some steps to leave it: early stopping should not be too early.

    References
    ----------
    Ho, Chen, Srinivas, Duan, Abbeel: Flow++, 2019. Huang, Krueger, Lacoste, Courville: Neural Autoregressive Flows,
    2018, whose "deep sigmoidal flow" stacks the same formula.

    Examples
    --------
    >>> mixture = MixtureOfLogistics(components=2)
    >>> params = np.array([[[0.0, 0.0, -2.0, 2.0, -1.0, -1.0]]])
    >>> (z, log_det), vjp = mixture.forward_vjp(np.array([[0.3]]), params)
    >>> (x, _), _ = mixture.inverse_vjp(z, params)
    >>> bool(abs(x[0, 0] - 0.3) < 1e-12), mixture.n_params
    (True, 6)
    """

    bound = 5.0                                                  # of log s, for the reason that `Affine` gives
    farthest = 3.0                                               # the c_k lie in [-farthest, farthest]

    def __init__(self, components=8):
        self.components = as_count(components, "components", minimum=1)
        if self.components > 500:
            raise ValueError(f"components: expected at most 500, got {components}")
        self.n_params = 3 * self.components
        self.c = self.farthest * (2 * np.arange(self.components) + 1 - self.components) / self.components

    def config(self):
        return {"components": self.components}

    def forward_vjp(self, x, params):
        """``(z, log_det), vjp`` with ``vjp(grad_z, grad_log_det) -> grad_x, grad_params``."""
        log_pi, mu, log_s, components_vjp = self._components(params)
        inv_s = np.exp(-log_s)
        t = (x[..., None] - mu) * inv_s
        log_p, log_q = log_logistic(t), log_logistic(-t)
        log_F, log_below = log_sum_exp(log_pi + log_p)           # F = sum_k pi_k p_k, below = pi p / F
        log_S, log_above = log_sum_exp(log_pi + log_q)           # S = sum_k pi_k q_k, above = pi q / S
        z = log_F - log_S
        # slope = sum_k (pi_k q_k / S) p_k / s_k / F, or with F and S, p and q exchanged: that with the logarithm near 0
        right = z.real > 0
        log_sum, log_at = log_sum_exp(np.where(right, log_above + log_p, log_below + log_q) - log_s)
        log_slope = log_sum - np.where(right, log_F, log_S)

        def vjp(grad_z, grad_log_det):
            p, q, below, above, at = (np.exp(log) for log in (log_p, log_q, log_below, log_above, log_at))
            grad, grad_slope = grad_z[..., None], per_sample(grad_log_det, t)   # log slope = log density - log F - log S
            # dlog F/dt = below q, dlog S/dt = -above p, dlog density/dt = at (q - p)
            grad_t = grad * (below * q + above * p) + grad_slope * (at * (q - p) - below * q + above * p)
            # dlog F/da = below - pi, dlog S/da = above - pi, dlog density/da = at - pi
            grad_a = grad * (below - above) + grad_slope * (at - below - above + np.exp(log_pi))
            grad_mu = -grad_t * inv_s                            # dt/dmu = -1 / s
            grad_log_s = -grad_t * t - grad_slope * at           # dt/dlog s = -t, dlog density/dlog s = -at
            return -grad_mu.sum(axis=-1), components_vjp(grad_a, grad_mu, grad_log_s)    # dt/dx = 1 / s

        return (z[..., 0], sum_event(log_slope)), vjp

    def inverse_vjp(self, z, params):
        """``(x, log_det), vjp`` with ``vjp(grad_x, grad_log_det) -> grad_z, grad_params``: see the class's notes."""
        x = self._root(z.real, params.real)
        if z.dtype.kind == "c" or params.dtype.kind == "c":
            (value, _), forward_vjp = self.forward_vjp(x, params)
            x = x - 1j * ((value - z) / forward_vjp(np.ones_like(x), 0.0)[0]).imag
        return self.inverse_at(x, params)

    def _root(self, z, params):
        """The x with log F(x) - log S(x) = z, of real numbers; the class's notes prove the bracket."""
        log_pi, mu, log_s, _ = self._components(params)
        quantiles = mu + np.exp(log_s) * z[..., None]
        flattest = np.sqrt(np.finfo(z.dtype).tiny)               # a slope of 0 would leave no Newton step to refuse

        def phi(x):
            t = (x[..., None] - mu) * np.exp(-log_s)
            log_p, log_q = log_logistic(t), log_logistic(-t)
            log_F, log_below = log_sum_exp(log_pi + log_p)
            log_S, log_above = log_sum_exp(log_pi + log_q)
            slope = ((np.exp(log_below + log_q) + np.exp(log_above + log_p)) * np.exp(-log_s)).sum(axis=-1)
            return (log_F - log_S)[..., 0], np.maximum(slope, flattest), np.abs(log_F + log_S)[..., 0]

        low, high = quantiles.min(axis=-1), quantiles.max(axis=-1)
        start = np.clip((np.exp(log_pi) * quantiles).sum(axis=-1), low, high)
        return increasing_root(phi, z, low, high, start)

    def _components(self, params):
        """log pi, mu, log s, each ``(n, ..., K)``, and their vjp; grad_a has passed the normalisation of pi already."""
        K, B, c = self.components, self.bound, self.c.astype(params.real.dtype)
        log_pi = log_sum_exp(params[..., :K])[1]
        log_s = B * np.tanh(params[..., 2 * K:] / B)
        leaning = np.tanh(log_s)
        mu = params[..., K:2 * K] - c * leaning

        def vjp(grad_a, grad_mu, grad_log_s):
            grad_params = np.empty(params.shape, np.result_type(grad_mu, params))
            grad_params[..., :K], grad_params[..., K:2 * K] = grad_a, grad_mu
            grad_log_s = grad_log_s - grad_mu * c * (1 - leaning ** 2)           # dmu/dlog s = -c tanh'(log s)
            grad_params[..., 2 * K:] = grad_log_s * (1 - (log_s / B) ** 2)       # dlog s/dr
            return grad_params

        return log_pi, mu, log_s, vjp


def log_logistic(t):
    """log 1 / (1 + exp(-t)), without overflow.

    >>> log_logistic(np.array([-1000.0, 0.0, 1000.0])).round(4)
    array([-1.000e+03, -6.931e-01,  0.000e+00])
    """
    negative = np.where(t.real < 0, t, 0)
    return negative - np.log1p(np.exp(2 * negative - t))


def log_sum_exp(a):
    """log sum_k exp(a_k) along the last axis, which stays with length 1, and the logarithms of the shares of the sum.

    >>> log_sum_exp(np.log([1.0, 3.0]))[1]
    array([-1.38629436, -0.28768207])
    """
    top = a.real.max(axis=-1, keepdims=True)
    shifted = a - top
    log_sum = np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return top + log_sum, shifted - log_sum
