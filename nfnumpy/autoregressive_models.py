"""The recap's discrete models: an autoregressive MLP and an autoregressive CNN on whole grey values.

    p(x | theta) = prod_j p(x_j | x_{1:j-1}, theta),     log p(x | theta) = sum_j log p(x_j | x_{1:j-1}, theta)

Each conditional is a categorical distribution over the grey values: these are probabilities, not densities, and their
logarithms are never positive.
"""
import numpy as np

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.discrete import DiscreteAutoregressive
from nfnumpy.flows.conv1x1 import as_image_shape
from nfnumpy.flows.permutation import as_order
from nfnumpy.nets.by_degree import ByDegree
from nfnumpy.nets.causal import CausalCNN, raster_taps, sequence_taps
from nfnumpy.nets.made import MADE, join_params


class AutoregressiveMLP(DiscreteAutoregressive):
    """p(x) = prod_j p(x_j | x_{1:j-1}) with all conditionals from one masked multilayer perceptron (MADE).

    ::

        p(x_j = k | x_{1:j-1}, theta) = softmax(logits_j(x_{1:j-1}))_k,     k = 0 .. grey_levels - 1
        log p(x | theta) = sum_j log p(x_j | x_{1:j-1}, theta)              nats

    Parameters
    ----------
    dim : int
        m.
    grey_levels : int
        At least 2.
    hidden : tuple of int
        Widths of MADE's hidden layers.
    activation : {"relu", "tanh"}
    order : {"natural", "reversed", "random"} or sequence of int, optional
        ``order[j]`` is the index of the coordinate that comes (j+1)-th; default natural: 0, 1, ..., m - 1.
    rng : None, int or Generator
        For MADE's initial weights. A new model is uniform: its last layer starts at zero.
    dtype : numpy dtype
        float64 or float32.

    Raises
    ------
    ValueError
        For dim < 1, grey_levels < 2, an unknown activation, or an order that is not a permutation.

    References
    ----------
    Lecture 2, "Likelihood as product of conditionals", "Sampling" and "Autoregressive MLP".
    Germain, Gregor, Murray, Larochelle: MADE: Masked Autoencoder for Distribution Estimation, 2015.

    Examples
    --------
    >>> model = AutoregressiveMLP(dim=3, grey_levels=2, rng=0)
    >>> model.log_prob([[0, 1, 1]])                              # a new model is uniform: -3 log 2
    array([-2.07944154])
    >>> model.sample(5, rng=0).shape
    (5, 3)
    """

    def __init__(self, dim, grey_levels, hidden=(256,), activation="relu", order=None, rng=None, dtype=np.float64):
        dim, grey_levels = as_count(dim, "dim", minimum=1), as_count(grey_levels, "grey_levels", minimum=2)
        rng = as_rng(rng)
        order = as_order(order, dim, rng)
        degrees = np.argsort(order) + 1                          # place of each coordinate in the order, from 1
        super().__init__((dim,), grey_levels, order, MADE(degrees, hidden, grey_levels, activation, rng, dtype))

    def logits_vjp(self, x):
        """``logits, vjp`` of x ``(n, m)``: logits ``(n, m, grey_levels)``, ``vjp(grad_logits, out) -> grad_theta``."""
        logits, net_vjp = self.net.vjp(self.scale(x))
        return logits, lambda grad_logits, out=None: net_vjp(grad_logits, out)[1]

    @property
    def last_layer(self):
        """W and b of MADE's last layer."""
        k = self.net.depth - 1
        return getattr(self.net, f"W{k}"), getattr(self.net, f"b{k}")

    def biases_of(self, logits):
        """The last b, where all else is zero, of given logits ``(m, grey_levels)``: each pixel has its own."""
        return join_params(logits[None])[0]

    def conditionals(self, n):
        """A generator that yields the logits of the first x, ``(n, grey_levels)``, is sent its value, scaled, ``(n,)``,
        yields those of the second, and so on.

        A hidden unit is computed once, when the last x that it sees becomes known: see `ByDegree`.
        """
        sweep = ByDegree(self.net, n, self.dtype)
        for d in range(self.dim):                                # d values are known: the logits of the next one follow
            h = yield sweep.params_after(d)
            sweep.set_input(d + 1, h)

    def config(self):
        return {"dim": self.dim, "grey_levels": self.grey_levels, "hidden": self.net.sizes[1:-1],
                "activation": self.net.activation.__name__, "order": self.order}


class AutoregressiveCNN(DiscreteAutoregressive):
    """p(x) = prod_j p(x_j | x_{1:j-1}) over the pixels in raster order, all conditionals from causal convolutions.

    ::

        p(x_j = k | x_{1:j-1}, theta) = softmax(logits_j)_k,     logits = CausalCNN(x)
        log p(x | theta) = sum_j log p(x_j | x_{1:j-1}, theta)   nats

    Parameters
    ----------
    shape : tuple of int
        ``(height, width, 1)``.
    grey_levels : int
        At least 2.
    width, depth : int
        Channels, and the number of causal convolutions.
    kind : {"2d", "1d"}
        "2d": masked square kernels, type A first, type B then; the stack has a blind spot (see `CausalCNN`). "1d": a
        convolution over the sequence of pixels, row after row, as on the slide; it has none, but needs depth, since the
        pixel above is a whole row back.
    kernel_size : int
        Odd for "2d".
    activation : {"relu", "tanh"}
    rng : None, int or Generator
        For the initial weights. A new model is uniform: its last layer starts at zero.
    dtype : numpy dtype
        float64 or float32.

    Raises
    ------
    ValueError
        For another shape or kind, grey_levels < 2, a size below 1, or an even kernel for "2d".

    References
    ----------
    Lecture 2, "Likelihood as product of conditionals" and "Autoregressive CNN".
    van den Oord, Kalchbrenner, Kavukcuoglu: Pixel Recurrent Neural Networks, 2016.

    Examples
    --------
    >>> model = AutoregressiveCNN((8, 8, 1), grey_levels=17, rng=0)
    >>> model.bits_per_dim(np.zeros((1, 8, 8, 1))).round(4)      # a new model is uniform: log2(17)
    array([4.0875])
    """

    def __init__(self, shape, grey_levels, width=32, depth=4, kind="2d", kernel_size=5, activation="relu", rng=None,
                 dtype=np.float64):
        shape, grey_levels = as_image_shape(shape), as_count(grey_levels, "grey_levels", minimum=2)
        if shape[2] != 1:
            raise ValueError(f"shape: expected (height, width, 1), one grey value a pixel, got {shape}")
        if kind not in ("2d", "1d"):
            raise ValueError(f"kind: expected one of 2d, 1d, got {kind!r}")
        self.kind, self.kernel_size = kind, as_count(kernel_size, "kernel_size", minimum=1)
        taps = raster_taps if kind == "2d" else sequence_taps
        size = shape[:2] if kind == "2d" else (1, shape[0] * shape[1])
        net = CausalCNN(size, grey_levels, width, depth, (taps(kernel_size, "A"), taps(kernel_size, "B")), activation,
                        rng, dtype)
        super().__init__(shape, grey_levels, np.arange(shape[0] * shape[1]), net)

    def logits_vjp(self, x):
        """``logits, vjp`` of x ``(n, m)``: logits ``(n, m, grey_levels)``, ``vjp(grad_logits, out) -> grad_theta``."""
        images = self.scale(x).reshape(len(x), *self.net.size, 1)
        logits, net_vjp = self.net.vjp(images)

        def vjp(grad_logits, out=None):
            return net_vjp(grad_logits.reshape(logits.shape), out)[1]

        return logits.reshape(len(x), self.dim, self.grey_levels), vjp

    @property
    def last_layer(self):
        """W and b of the 1x1 convolution."""
        return self.net.last.W, self.net.last.b

    def biases_of(self, logits):
        """The last b, where all else is zero, of given logits ``(m, grey_levels)``: one for all pixels, of the mean."""
        return np.log(np.exp(logits).mean(axis=0))

    def conditionals(self, n):
        """See `CausalCNN.conditionals`."""
        return self.net.conditionals(n)

    def config(self):
        return {"shape": self.x_shape, "grey_levels": self.grey_levels, "width": len(self.net.conv0.b),
                "depth": self.net.depth, "kind": self.kind, "kernel_size": self.kernel_size,
                "activation": self.net.activation.__name__}
