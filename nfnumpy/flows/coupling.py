"""The affine coupling layer of RealNVP."""
import numpy as np

from nfnumpy.arrays import as_count
from nfnumpy.flows.conditional import ConditionalFlow
from nfnumpy.flows.partitions import Halves
from nfnumpy.nets import MLP
from nfnumpy.nets.made import join_params, split_params


class Coupling(ConditionalFlow):
    """z_1 = x_1, z_2 = (x_2 - mu(x_1)) / sigma(x_1): half of the coordinates set how the other half moves.

    For one sample, as on the slides, with x = [x_1, x_2] = [x_{1:d}, x_{d+1:m}] and d = m // 2::

        x = g(z):   x_1 = z_1,   x_2 = sigma(z_1) z_2 + mu(z_1)
        z = f(x):   z_1 = x_1,   z_2 = (x_2 - mu(x_1)) / sigma(x_1)
        log abs det J_f = - sum_j log sigma_j(x_1)                 J_f is block triangular

    Formulas
    --------
    where:         log_sigma(x_1) = 5 * tanh(r(x_1) / 5)
                   sigma(x_1) = exp(log_sigma(x_1))
    f:             z_1 = x_1
                   z_2 = (x_2 - mu(x_1)) / sigma(x_1)
    g:             x_1 = z_1
                   x_2 = sigma(x_1) * z_2 + mu(x_1)
    log abs det:   log_det = -sum(log_sigma(x_1))
    adjoint of f:  grad_x_2 = grad_z_2 / sigma(x_1)
                   grad_mu = -grad_x_2
                   grad_log_sigma = -grad_z_2 * z_2 - grad_log_det
                   grad_x_1 = grad_z_1 + J(mu(x_1), x_1).T @ grad_mu + J(log_sigma(x_1), x_1).T @ grad_log_sigma
                   grad_theta = J(mu(x_1), theta).T @ grad_mu + J(log_sigma(x_1), theta).T @ grad_log_sigma
    adjoint of g:  grad_z_2 = sigma(x_1) * grad_x_2
                   grad_mu = grad_x_2
                   grad_log_sigma = grad_x_2 * sigma(x_1) * z_2 + grad_log_det
                   grad_z_1 = grad_x_1 + J(mu(x_1), x_1).T @ grad_mu + J(log_sigma(x_1), x_1).T @ grad_log_sigma
                   grad_theta = J(mu(x_1), theta).T @ grad_mu + J(log_sigma(x_1), theta).T @ grad_log_sigma

    where mu and r are the outputs of the network. log sigma is softly bounded: see `Affine`. It is the Gaussian
    autoregressive flow with two blocks: both directions take one pass.

    Parameters
    ----------
    dim : int
        m. With m = 1 x_1 is empty, whichever way, and the flow an elementwise affine map.
    hidden : tuple of int
        Hidden widths of the conditioner, an MLP.
    activation : {"relu", "tanh"}
    swap : bool
        Swap the roles of the halves: the last m - d coordinates condition the first d. Layers that alternate transform
        every coordinate; layers that do not leave x_1 untouched for ever.
    rng : None, int or Generator
        For the MLP's initial weights. A new flow is the identity: its last layer starts at zero.
    dtype : numpy dtype
        float64 or float32.
    transformer : {"affine", "additive", "spline", "mixture"} or Transformer, optional
        How x_2 moves, given its parameters; the formulas above are those of the affine one.
    context, c
        k, the number of context values, and optionally the context: see `ConditionalFlow`. mu and sigma are then
        functions of c and x_1.

    Raises
    ------
    ValueError
        For dim < 1, an unknown activation or transformer, or a context or c that `ConditionalFlow` refuses.

    References
    ----------
    Lecture 2, "RealNVP". Dinh, Sohl-Dickstein, Bengio: Density estimation using Real NVP, 2017.

    Examples
    --------
    >>> flow = Coupling(dim=2, rng=0)
    >>> z, log_det = flow.forward(np.ones((5, 2)))
    >>> z.shape, log_det.shape, flow.passes
    ((5, 2), (5,), (1, 1))
    """

    passes = (1, 1)
    jacobian = "block triangular"

    def __init__(self, dim, hidden=(64, 64), activation="relu", swap=False, rng=None, dtype=np.float64,
                 transformer=None, context=0, c=None):
        dim = as_count(dim, "dim", minimum=1)
        self.partition = Halves(dim, swap)

        def build_net(k, n_params):
            return MLP(k + self.partition.n_conditioning, hidden, n_params * self.partition.n_transformed, activation,
                       rng, dtype)

        super().__init__((dim,), build_net, transformer, context, c, dtype=dtype)

    @property
    def swap(self):
        """Whether the roles of the halves are swapped."""
        return self.partition.swap

    def forward_vjp(self, x):
        """``(z, log_det), vjp``."""
        return self._couple(self.transformer.forward_vjp, self.as_x(x))

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``: the same lines with the transformer's inverse, since z_1 = x_1."""
        return self._couple(self.transformer.inverse_vjp, self.as_z(z))

    def _couple(self, transform_vjp, x):
        split, join, restrict = self.partition.split, self.partition.join, self.partition.restrict
        x1, x2 = split(x)
        out, net_vjp = self.net.vjp(self.beside_context(x1))     # mu(x_1), and r(x_1) of log sigma
        params = restrict(split_params(out, self.transformer.n_params))
        (z2, log_det), transformer_vjp = transform_vjp(x2, params)

        def vjp(grad_z, grad_log_det, out=None):
            grad_z1, grad_z2 = split(grad_z)
            grad_x2, grad_params = transformer_vjp(grad_z2, grad_log_det)
            grad_x1, grad_theta = net_vjp(join_params(restrict(grad_params)), out)
            grad_x1 = grad_x1[..., self.context:]
            return join(grad_z1 + grad_x1, grad_x2), grad_theta  # x_1 reaches z_1 itself, and z_2 through the net

        return (join(x1, z2), log_det), vjp

    def config(self):
        return {"dim": self.x_shape[0], "hidden": self.net.sizes[1:-1], "activation": self.net.activation.__name__,
                "swap": self.swap, **super().config()}
