"""What `fit` makes of a gradient: its length, the learning rate, and the optimiser, on one flat vector."""
import math

import numpy as np

from nfnumpy.arrays import as_number
from nfnumpy.workspace import keep_freed_memory

PIECE = 2 ** 15     # numbers at a time: theta, its gradient, m, v and what is in between then stay in the processor's cache


class Adam:
    """Adam (Kingma and Ba 2015), working on `theta` in place, with decoupled weight decay (Loshchilov and Hutter 2019).

    ::

        m <- b1 m + g                       sum of gradients, each weighted by b1^age
        v <- b2 v + g^2                     sum of their squares, each weighted by b2^age
        mean_g = m / w1                     w1 = 1 + b1 + ... + b1^(t - 1) = (1 - b1^t) / (1 - b1), the sum of the weights
        mean_g2 = v / w2                    w2 = (1 - b2^t) / (1 - b2)
        theta <- theta - lr mean_g / (sqrt(mean_g2) + eps) - lr weight_decay theta

    A weighted mean is a weighted sum over the sum of the weights: that is what the paper calls bias correction, where m
    and v stand for (1 - b1) m and (1 - b2) v.

    Parameters
    ----------
    theta : array ``(n_params,)``
        Written to by `step`.
    lr : float
        Learning rate; the attribute may be changed between steps.
    betas : pair of float
        b1 and b2.
    eps : float
    weight_decay : float
        Applied to all of theta, biases included.

    Raises
    ------
    ValueError
        For a learning rate or weight decay that is negative or not finite, or a theta that is not a vector.

    Examples
    --------
    >>> theta = np.array([1.0, -2.0])
    >>> adam = Adam(theta, lr=0.1)
    >>> for _ in range(200):
    ...     adam.step(2 * theta)                                 # the gradient of |theta|^2
    >>> bool(np.abs(theta).max() < 1e-2)
    True
    """

    def __init__(self, theta, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        if not isinstance(theta, np.ndarray) or theta.ndim != 1:
            raise ValueError(f"theta: expected a vector, such as model.theta, got {type(theta).__name__}"
                             f"{f' of shape {theta.shape}' if isinstance(theta, np.ndarray) else ''}")
        self.lr, self.weight_decay = as_number(lr, "lr"), as_number(weight_decay, "weight_decay")
        self.theta, self.betas, self.eps = theta, betas, eps
        self.sum, self.sum_squares = np.zeros_like(theta), np.zeros_like(theta)
        self.steps = 0
        keep_freed_memory()

    def state(self):
        """``steps, {name: array}``: all but theta that decides the next steps, for `restore`."""
        return self.steps, {"sum": self.sum, "sum_squares": self.sum_squares}

    def restore(self, steps, arrays):
        """Go on from a `state`, whose arrays are copied."""
        self.steps, self.sum[...], self.sum_squares[...] = steps, arrays["sum"], arrays["sum_squares"]

    def step(self, gradient):
        """One update of `theta` against `gradient`, ``(n_params,)``."""
        if np.shape(gradient) != self.theta.shape:
            raise ValueError(f"gradient: expected shape {self.theta.shape}, got {np.shape(gradient)}")
        self.steps += 1
        for start in range(0, len(self.theta), PIECE):
            self._update(slice(start, start + PIECE), gradient)

    def _update(self, piece, gradient):
        g, m, v, theta = gradient[piece], self.sum[piece], self.sum_squares[piece], self.theta[piece]
        (beta1, beta2), t = self.betas, self.steps
        m *= beta1
        m += g
        v *= beta2
        v += g * g
        if self.weight_decay:
            theta *= 1 - self.lr * self.weight_decay
        w1, root_w2 = (1 - beta1 ** t) / (1 - beta1), math.sqrt((1 - beta2 ** t) / (1 - beta2))
        # the step, with numerator and denominator multiplied by sqrt(w2): two passes through memory fewer
        theta -= self.lr * root_w2 / w1 * (m / (np.sqrt(v) + root_w2 * self.eps))


def learning_rate(step, lr, max_steps, warmup=0):
    """The rate of a step, 1 .. `max_steps`: up linearly to `lr` over `warmup` steps, then down along half a cosine.

    >>> [learning_rate(step, 1.0, max_steps=6, warmup=2) for step in (1, 2, 3, 5)]
    [0.5, 1.0, 1.0, 0.5]
    """
    if step <= warmup:
        return lr * step / warmup
    return lr * 0.5 * (1 + math.cos(math.pi * (step - 1 - warmup) / (max_steps - warmup)))


class Clipper:
    """Shortens, in place, gradients that are `factor` times longer than the running mean of their lengths.

    >>> clip = Clipper(5.0)
    >>> g = np.array([3.0, 4.0])
    >>> clip(g, 5.0), clip(g * 10, 50.0)
    (False, True)
    """

    def __init__(self, factor):
        self.factor, self.usual = math.inf, None
        if factor is not None:
            self.factor = as_number(factor, "clip", "a positive number or None", lambda number: number > 0)

    def __call__(self, gradient, length):
        self.usual = self.usual or length                        # the first that is not zero
        longest = self.factor * self.usual
        if length > longest:
            gradient *= longest / length
        self.usual += 0.02 * (min(length, longest) - self.usual)  # over the last fifty steps or so
        return length > longest


def length_of(gradient):
    """Its Euclidean length as a float; beyond float64 it is infinite, which `fit` refuses."""
    with np.errstate(over="ignore"):
        return float(np.linalg.norm(gradient.astype(np.float64)))
