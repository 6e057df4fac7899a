"""A velocity field v(x, t) and the trace of its Jacobian, by one network, and the backward pass through both."""
import numpy as np

from nfnumpy.arrays import sum_rows
from nfnumpy.nets.activations import by_name
from nfnumpy.nets.mlp import MLP


def tanh_derivatives(a):
    """``phi, phi', phi''`` at a, for phi = tanh: a trace is made of the first derivative, its gradient of the second.

    >>> [value.tolist() for value in tanh_derivatives(np.zeros(1))]
    [[0.0], [1.0], [-0.0]]
    """
    y = np.tanh(a)
    slope = 1 - y * y
    return y, slope, -2 * y * slope


SMOOTH = {"tanh": tanh_derivatives}


class Velocity(MLP):
    """v(x, t) in R^m, a multilayer perceptron of x and t, and tr dv/dx, by hand.

    Formulas
    --------
    forward:       h[0] = append(x, t)
                   for j in range(m): s[j, 0] = append(e[j], 0)
                   for k in range(K + 1):
                       a[k] = W[k] @ h[k] + b[k]
                       h[k + 1] = phi(a[k])
                       for j in range(m):
                           u[j, k] = W[k] @ s[j, k]
                           s[j, k + 1] = phi_slope(a[k]) * u[j, k]
                   v = a[K]
                   trace = sum(e[j] @ u[j, K] for j in range(m))
    adjoint:       grad_a[K] = grad_v
                   for j in range(m): grad_u[j, K] = grad_trace * e[j]
                   for k in reversed(range(K)):
                       grad_a[k] = phi_slope(a[k]) * (W[k + 1].T @ grad_a[k + 1])
                       for j in range(m):
                           grad_s[j] = W[k + 1].T @ grad_u[j, k + 1]
                           grad_u[j, k] = phi_slope(a[k]) * grad_s[j]
                           grad_a[k] = grad_a[k] + phi_bend(a[k]) * u[j, k] * grad_s[j]
                   for k in range(K + 1):
                       grad_W[k] = outer(grad_a[k], h[k]) + sum(outer(grad_u[j, k], s[j, k]) for j in range(m))
                       grad_b[k] = grad_a[k]
                   grad_x = W[0][:, :m].T @ grad_a[0]

    where e[j] is the j-th unit vector, and phi_slope and phi_bend are the first and the second derivative of phi.

    Along a vector e the network has the derivative u = (dv/dx) e, which is carried forward beside its values: a layer
    multiplies both by W, and the activation multiplies derivatives by phi'(a). The sum of e . (dv/dx) e over the unit
    vectors is the trace; for one vector of random signs it is Hutchinson's estimate of it. On the way back phi'(a)
    has to be differentiated, which makes phi'' appear: hence no ReLU, whose slope jumps.

    Parameters
    ----------
    dim : int
        m.
    hidden : tuple of int
        Widths of the hidden layers; with ``()`` the velocity is linear, A x + c t + b.
    activation : {"tanh"}
        phi.
    rng, dtype
        As of `MLP`; the last layer starts at zero, so that nothing moves.

    Raises
    ------
    ValueError
        For a hidden width of 0, or an activation that is unknown or not smooth.

    Examples
    --------
    >>> net = Velocity(2, ())
    >>> net.W0 = [[2.0, 0.0, 7.0], [5.0, 3.0, 0.0]]              # the last column belongs to t
    >>> (v, trace), vjp = net.with_trace(np.ones((1, 2)), t=1.0, directions=np.eye(2))
    >>> v, trace
    (array([[9., 8.]]), array([5.]))
    """

    def __init__(self, dim, hidden, activation="tanh", rng=None, dtype=np.float64):
        by_name(activation)
        if activation not in SMOOTH:
            raise ValueError(f"activation: expected a smooth one ({', '.join(SMOOTH)}), got {activation!r}: the "
                             "gradient of the trace takes its second derivative")
        super().__init__(dim + 1, hidden, dim, activation, rng, dtype)

    def derivatives(self, a):
        """``phi, phi', phi''`` at a."""
        return SMOOTH[self.activation.__name__](a)

    def with_trace(self, x, t, directions):
        """``(v, trace), vjp`` with ``vjp(grad_v, grad_trace) -> grad_x, grad_theta``.

        x is ``(n, m)``, t a number, `directions` ``(p, m)`` for all rows or ``(n, p, m)``; v comes as ``(n, m)``, the
        trace, the sum of e . (dv/dx) e over the directions e, as ``(n,)``. Unlike elsewhere, results have the dtype of
        the arithmetic and not theta's: a solver wants float64.
        """
        (n, m), (p, _) = x.shape, directions.shape[-2:]
        h = np.zeros((n, 1 + p, m + 1), x.dtype)                 # of each sample the values, below them p derivatives
        h[:, 0, :m], h[:, 0, m], h[:, 1:, :m] = x, t, directions
        inputs, bends = [], []
        for k in range(self.depth):
            inputs.append(h.reshape(n * (1 + p), h.shape[2]))
            a = inputs[k] @ getattr(self, f"W{k}").T             # a_k = W_k h_k + b_k, u_k = W_k s_k, in one product
            a = a.reshape(n, 1 + p, a.shape[1])
            a[:, 0] += getattr(self, f"b{k}")
            if k < self.depth - 1:
                y, slope, bend = self.derivatives(a[:, 0])
                h = a * slope[:, None]                           # s_{k+1} = phi'(a_k) u_k
                h[:, 0] = y                                      # h_{k+1} = phi(a_k)
                bends.append((a[:, 1:], slope, bend))
        v, trace = a[:, 0], (a[:, 1:] * directions).sum(axis=(1, 2))

        def vjp(grad_v, grad_trace):
            grad_a = np.empty((n, 1 + p, m), np.result_type(grad_v, v))
            grad_a[:, 0] = grad_v
            grad_a[:, 1:] = directions * grad_trace[:, None, None]    # dtrace/du_K = e
            grads = []
            for k in reversed(range(self.depth)):
                rows = grad_a.reshape(n * (1 + p), grad_a.shape[2])
                grads += [sum_rows(grad_a[:, 0]), rows.T @ inputs[k]]    # b_k, W_k
                grad_h = (rows @ getattr(self, f"W{k}")).reshape(n, 1 + p, self.sizes[k])
                if k:
                    u, slope, bend = bends[k - 1]
                    grad_a = grad_h * slope[:, None]
                    grad_a[:, 0] += bend * (u * grad_h[:, 1:]).sum(axis=1)    # dphi'(a)/da = phi''(a)
            return grad_h[:, 0, :m], np.concatenate([grad.ravel() for grad in reversed(grads)])

        return (v, trace), vjp
