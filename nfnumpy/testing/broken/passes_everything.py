"""Flows that are not the one asked for, and that pass every property: what property tests cannot see.

A property says that f and g undo each other, that log_det is that of the Jacobian, that the vjps are its transpose. All
of that holds for the transposed matrix as well as for the matrix. Whether a flow is the one on the slide is a question
about values: f(x) at a given x and theta, worked out by hand or by another program. For some impostors the pattern of
the Jacobian is enough (`nfnumpy.testing.check_dependence`).
"""
from typing import Any, NamedTuple

import numpy as np

from nfnumpy.arrays import as_rng
from nfnumpy.composition import Composition
from nfnumpy.flows import PLU, Affine, Coupling, Dense, GaussianAutoregressive, ImageCoupling, Permutation, Squeeze
from nfnumpy.flows.linear_map import solve_triangular
from nfnumpy.flows.partitions import Checkerboard, Halves
from nfnumpy.nets.resnet import glow_net
from nfnumpy.testing.broken.exhibit import twin
from nfnumpy.testing.dependence import autoregressive_pattern, coupling_pattern
from nfnumpy.testing.zoo import randomize


class Impostor(NamedTuple):
    """A consistent flow, the one that was asked for, and the Jacobian's pattern, where that tells them apart."""

    flow: Any
    asked_for: Any
    pattern: Any = None


class Transposed(Dense):
    """z = W^T x + b: ``x @ W`` for ``x @ W.T``."""

    def multiply(self, x):
        return self._with_transposed_gradient(self._turned().multiply(x))

    def solve(self, y):
        return self._with_transposed_gradient(self._turned().solve(y))

    def _turned(self):
        flow = twin(self, Dense)
        flow.W = self.W.T
        return flow

    def _with_transposed_gradient(self, result):
        outputs, right = result

        def vjp(grad_out, grad_log_abs_det, grad):
            turned = {"W": np.empty_like(self.W)}
            grad_in = right(grad_out, grad_log_abs_det, turned)
            grad["W"][...] = turned["W"].T
            return grad_in

        return outputs, vjp


class ULForLU(PLU):
    """z = P U L x + b."""

    def multiply(self, x):
        L, U = self.L, self.U
        u = x @ L.T                                              # u = L x
        l = u @ U.T                                              # l = U u

        def vjp(grad_y, grad_log_abs_det, grad):
            grad_l = grad_y[:, self.inverse_perm]
            grad_u = grad_l @ U
            self._write(grad, grad_u.T @ x, grad_l.T @ u, U, grad_log_abs_det)
            return grad_u @ L

        return (l[:, self.perm], self.log_abs_det), vjp

    def solve(self, y):
        L, U = self.L, self.U
        l = y[:, self.inverse_perm]
        u = solve_triangular(U, l, lower=False)                  # U u = l
        x = solve_triangular(L, u, lower=True, unit_diagonal=True)  # L x = u

        def vjp(grad_x, grad_log_abs_det, grad):
            grad_u = solve_triangular(L, grad_x, lower=True, transpose=True, unit_diagonal=True)
            grad_l = solve_triangular(U, grad_u, lower=False, transpose=True)
            self._write(grad, -grad_u.T @ x, -grad_l.T @ u, U, grad_log_abs_det)
            return grad_l[:, self.perm]

        return (x, self.log_abs_det), vjp


class OneOverSigma(Affine):
    """z = sigma (x - mu) and x = z / sigma + mu: the density is right for the wrong sigma."""

    def mu_and_log_sigma(self, params):
        mu, log_sigma = super().mu_and_log_sigma(params)
        return mu, -log_sigma

    def _bound_slope(self, log_sigma):
        return -super()._bound_slope(log_sigma)


class Reshapes(Squeeze):
    """Four times the channels, by a plain reshape: which pixels meet is another matter."""

    def _squeeze(self, x):
        return x.reshape(len(x), *self.z_shape) + 0.0

    def _unsqueeze(self, z):
        return z.reshape(len(z), *self.x_shape) + 0.0


def impostors(rng=None):
    """``{what it is: Impostor}``: with random parameters, the same in the flow and in the one asked for.

    >>> import nfnumpy as nf
    >>> flow, asked_for, pattern = impostors(rng=0)["halves swapped"]
    >>> errors = nf.testing.check_flow(flow, np.eye(4))          # no complaint
    >>> nf.testing.check_dependence(flow, pattern)
    Traceback (most recent call last):
        ...
    AssertionError: check_dependence: Jacobian entry ... but must be 0: output ... sees input ...
    """
    rng = as_rng(rng)
    coupling = randomize(Coupling(4, (6,), "tanh", rng=rng), rng)
    swapped, sigma = twin(coupling, Coupling), twin(coupling, Coupling)
    swapped.partition, sigma.transformer = Halves(4, swap=True), OneOverSigma()
    autoregressive = randomize(GaussianAutoregressive(3, (6,), "tanh", rng=rng), rng)
    blind = twin(autoregressive, GaussianAutoregressive)
    blind.net.mask0 = np.zeros_like(blind.net.mask0)
    earlier = autoregressive_pattern(autoregressive.order)
    image = randomize(ImageCoupling((3, 3, 1), lambda c_in, c_out: glow_net(c_in, c_out, 3, "tanh", rng)), rng)
    parity = twin(image, ImageCoupling)
    parity.partition = Checkerboard((3, 3, 1), swap=True)
    W = [[1.0, 2.0, 0.5], [-1.0, 1.0, 1.0], [0.5, 0.0, 2.0]]
    dense, plu = (randomize(cls(3, W=W), rng) for cls in (Dense, PLU))
    steps = [randomize(Coupling(4, (6,), "tanh", swap=swap, rng=rng), rng) for swap in (False, True)]
    turned = [twin(flow, Coupling) for flow in reversed(steps)]
    cycle, squeeze = Permutation([1, 2, 0]), Squeeze((2, 4, 1))
    return {
        "W transposed": Impostor(twin(dense, Transposed), dense),
        "UL for LU": Impostor(twin(plu, ULForLU), plu),
        "P transposed": Impostor(Permutation(cycle.inverse_perm), cycle, np.eye(3, dtype=bool)[cycle.perm]),
        "halves swapped": Impostor(swapped, coupling, coupling_pattern(4)),
        "sigma for 1/sigma": Impostor(sigma, coupling),
        "a conditioner that sees nothing": Impostor(blind, autoregressive, earlier),
        "the identity": Impostor(Permutation([0, 1, 2]), autoregressive, earlier),
        "the other parity": Impostor(parity, image),
        "f_1 applied last": Impostor(Composition(turned), Composition(steps)),
        "squeezed by a reshape": Impostor(twin(squeeze, Reshapes), squeeze),
    }
