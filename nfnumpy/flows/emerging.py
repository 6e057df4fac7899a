"""The emerging convolution: an invertible d x d convolution from two masked ones in opposite orders."""
import numpy as np

from nfnumpy.arrays import as_count, as_rng, sum_rows
from nfnumpy.composition import Composition
from nfnumpy.flow import Flow
from nfnumpy.flows.conv1x1 import as_image_shape
from nfnumpy.flows.linear_map import beside_diagonal, solve_triangular, sum_batch, triangle


class MaskedConv(Flow):
    """A convolution that sees no later pixel: z[i, j] = sum over s, t >= 0 of K_st x[i - s, j - t], plus b.

    Formulas
    --------
    where:         C = K[0, 0]
                   others = taps[1:]
    f:             for i, j in pixels:
                       z[i, j] = sum(K[s, t] @ x[i - s, j - t] for s, t in taps) + b
    g:             for i, j in pixels:
                       earlier = sum(K[s, t] @ x[i - s, j - t] for s, t in others)
                       x[i, j] = solve(C, z[i, j] - b - earlier)
    log abs det:   log_det = height * width * sum(log_diagonal)
    adjoint of f:  for i, j in pixels:
                       grad_x[i, j] = sum(K[s, t].T @ grad_z[i + s, j + t] for s, t in taps)
                   for s, t in taps:
                       grad_K[s, t] = sum(outer(grad_z[i, j], x[i - s, j - t]) for i, j in pixels)
                   grad_b = sum(grad_z[i, j] for i, j in pixels)
                   grad_taps = [grad_K[s, t] for s, t in others]
                   grad_off_diagonal = strictly_lower(grad_K[0, 0])
                   grad_log_diagonal = diag(grad_K[0, 0]) * diag(C) + height * width * grad_log_det
    adjoint of g:  for i, j in reversed(pixels):
                       later = sum(K[s, t].T @ grad_z[i + s, j + t] for s, t in others)
                       grad_z[i, j] = solve(C.T, grad_x[i, j] - later)
                   for s, t in taps:
                       grad_K[s, t] = -sum(outer(grad_z[i, j], x[i - s, j - t]) for i, j in pixels)
                   grad_b = -sum(grad_z[i, j] for i, j in pixels)
                   grad_taps = [grad_K[s, t] for s, t in others]
                   grad_off_diagonal = strictly_lower(grad_K[0, 0])
                   grad_log_diagonal = diag(grad_K[0, 0]) * diag(C) - height * width * grad_log_det

    where pixels are all (i, j), row by row, and taps all (s, t) with s and t from 0 to (kernel_size - 1) / 2, (0, 0)
    first. C is lower triangular with the positive diagonal exp(log_diagonal): channels have an order too. Outside the
    image x and grad_z are 0.

    In the order of rows, columns, channels, J_f is lower triangular with the diagonal of C repeated at every pixel. With
    `reverse` the same happens on the image turned by 180 degrees with its channels in reverse order: pixels see later
    ones, and J_f is upper triangular.

    Parameters
    ----------
    shape : tuple of int
        ``(height, width, channels)``.
    kernel_size : int
        d, odd: the size of the kernel in which the taps that may differ from zero fill the quadrant up and to the left
        of the centre, or, in reverse, the one down and to the right.
    reverse : bool
    rng : None, int or Generator
        For the taps beside the centre, from N(0, 0.04 / (channels d^2)); C starts at the identity.
    dtype : numpy dtype
        float64 or float32.

    Raises
    ------
    ValueError
        For another shape, or a kernel size that is even.

    Notes
    -----
    Parameters: `taps` ``((d + 1)^2 / 4 - 1, channels, channels)``, the K_st row by row without the centre;
    `log_diagonal`, and `off_diagonal` ``(channels (channels - 1) / 2,)`` of C; `b` ``(channels,)``. The zeros of the
    mask are not parameters.

    Forward adjoints. z is linear in x and in K. A pixel is seen by later ones, so that grad_x[i, j] collects
    grad_z[i + s, j + t] through K_st^T. On the image turned by 180 degrees "later" is "earlier": there this transpose is
    a masked convolution with the K_st^T, which is how the code computes it. Of grad_C only the lower triangle is kept;
    its diagonal goes on by d C_cc / d log_diagonal_c = C_cc.

    Inverse. z[i, j] holds x[i, j] and earlier pixels only, so that substitution gives the pixels one after another. All
    pixels with the same i + j need none of each other: each such antidiagonal is solved at once, which takes
    height + width - 1 steps in place of height * width.

    Inverse adjoints. Write K * x = y for the convolution, with y = z - b. Its differential is K * dx = dy - dK * x. Let v
    solve the transposed system K^T * v = grad_x, the same substitution on the turned image with K_st^T. Then
    grad_x . dx = v . (dy - dK * x): grad_z is v, and grad_K is that of f with -v in place of grad_z.

    Stability. An error in one pixel enters the later ones through the taps. With A = sum_st abs(C^-1 K_st), elementwise
    and without the centre, and its largest row sum s, an error e in z changes x by at most max abs(C^-1 e) / (1 - s) if
    s < 1; for s > 1 errors may grow exponentially along the image, although the log-determinant does not show it. With
    C = I one tap of size a to the left multiplies an error by abs(a) with every column: abs(a)^(width - 1) in all.

    Domain: exp(log_diagonal) neither overflows nor vanishes.

    References
    ----------
    Lecture 2, "Linear normalizing flows". Hoogeboom, van den Berg, Welling: Emerging Convolutions for Generative
    Normalizing Flows, 2019, section 3.1.

    Examples
    --------
    >>> flow = MaskedConv((1, 3, 1), kernel_size=3, rng=0)
    >>> flow.taps[...] = np.reshape([10.0, 100.0, 1000.0], (3, 1, 1))       # K_01 (left), K_10 (above), K_11
    >>> flow.forward(np.array([[[[1.0], [2.0], [3.0]]]]))[0].ravel()
    array([ 1., 12., 23.])
    """

    jacobian = "triangular"

    def __init__(self, shape, kernel_size=3, reverse=False, rng=None, dtype=np.float64):
        shape, self.reverse = as_image_shape(shape), bool(reverse)
        self.kernel_size = as_count(kernel_size, "kernel_size", minimum=1)
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size: expected an odd number, got {kernel_size}")
        self.reach, channels = (self.kernel_size - 1) // 2, shape[2]
        taps = as_rng(rng).standard_normal(((self.reach + 1) ** 2 - 1, channels, channels))
        super().__init__(shape, parameters={"taps": taps * np.sqrt(0.04 / (channels * self.kernel_size ** 2)),
                                            "off_diagonal": np.zeros(channels * (channels - 1) // 2),
                                            "log_diagonal": np.zeros(channels), "b": np.zeros(channels)}, dtype=dtype)

    @property
    def C(self):
        """The centre of the kernel, lower triangular, ``(channels, channels)``."""
        return triangle(self.off_diagonal, np.exp(self.log_diagonal), lower=True)

    @property
    def K(self):
        """The kernel, ``K[a, b]`` being K_ab, ``(reach + 1, reach + 1, channels, channels)``."""
        size = self.reach + 1
        return np.concatenate([self.C[None], self.taps]).reshape(size, size, *self.taps.shape[1:])

    @property
    def log_abs_det(self):
        """height * width * sum_c log_diagonal_c."""
        height, width, _ = self.x_shape
        return height * width * self.log_diagonal.sum()

    def _turn(self, images):
        """The image as the formulas see it: in reverse order, turned by 180 degrees, channels backwards."""
        return images[:, ::-1, ::-1, ::-1] if self.reverse else images

    def forward_vjp(self, x):
        """``(z, log_det), vjp``."""
        x, K = self._turn(self.as_x(x)), self.K
        z = convolve(K, x) + self.b
        log_det = np.full(len(x), self.log_abs_det, z.dtype)

        def vjp(grad_z, grad_log_det, out=None):
            grad_theta, grad = self.gradient(out)
            grad_z = self._turn(grad_z)
            grad["b"][...] = sum_rows(grad_z)                    # dz/db = I at every pixel
            self._write(grad, kernel_gradient(K, grad_z, x), K, sum_batch(grad_log_det, z))
            return self._turn(turn(convolve(transpose(K), turn(grad_z)))), grad_theta  # K^T * grad_z

        return (self._turn(z), log_det), vjp

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``."""
        z, K = self._turn(self.as_z(z)), self.K
        x = substitute(K, z - self.b)                            # K * x = z - b
        log_det = np.full(len(x), -self.log_abs_det, x.dtype)

        def vjp(grad_x, grad_log_det, out=None):
            grad_theta, grad = self.gradient(out)
            v = turn(substitute(transpose(K), turn(self._turn(grad_x)), lower=False))  # K^T * v = grad_x
            grad["b"][...] = -sum_rows(v)
            self._write(grad, -kernel_gradient(K, v, x), K, -sum_batch(grad_log_det, x))
            return self._turn(v), grad_theta

        return (self._turn(x), log_det), vjp

    def _write(self, grad, grad_K, K, grad_log_abs_det):
        """Gradients of the entries of the kernel that are parameters; the diagonal's by the chain rule through exp."""
        height, width, channels = self.x_shape
        grad["taps"][...] = grad_K.reshape(-1, channels, channels)[1:]
        grad_C, C = grad_K[0, 0], K[0, 0]
        grad["off_diagonal"][...] = grad_C[beside_diagonal(channels, lower=True)]
        grad["log_diagonal"][...] = np.diagonal(grad_C) * np.diagonal(C) + height * width * grad_log_abs_det

    def config(self):
        return {"shape": self.x_shape, "kernel_size": self.kernel_size, "reverse": self.reverse}


class EmergingConv(Composition):
    """An invertible d x d convolution: a `MaskedConv`, then another one in the opposite order.

    The formulas are those of `Composition`, with two of `MaskedConv`::

        z = K_2 * (K_1 * x + b_1) + b_2,        J_f = J_2 J_1,      J_1 lower, J_2 upper triangular
        log abs det J_f = height * width * sum_c (log_diagonal of K_1 + log_diagonal of K_2)_c

    The quadrant of (d + 1) / 2 x (d + 1) / 2 taps that the first factor sees and the opposite quadrant of the second
    together make d x d: every pixel of z sees the d x d pixels of x around it, as in an ordinary convolution. Neither
    triangle is left over: J_f itself is not triangular.

    Parameters
    ----------
    shape : tuple of int
        ``(height, width, channels)``.
    kernel_size : int
        d, odd.
    rng : None, int or Generator
        For the taps, see `MaskedConv`.
    dtype : numpy dtype
        float64 or float32.

    Raises
    ------
    ValueError
        For another shape, or a kernel size that is even.

    References
    ----------
    Lecture 2, "Linear normalizing flows". Hoogeboom, van den Berg, Welling: Emerging Convolutions for Generative
    Normalizing Flows, 2019.

    Examples
    --------
    >>> flow = EmergingConv((7, 5, 2), kernel_size=3, rng=0)
    >>> x = np.zeros((1, 7, 5, 2))
    >>> x[0, 3, 2] = 1
    >>> np.argwhere(flow.forward(x)[0][0].any(axis=-1)).min(axis=0), flow.n_params       # 3 x 3 around (3, 2)
    (array([2, 1]), 34)
    """

    def __init__(self, shape, kernel_size=3, rng=None, dtype=np.float64):
        rng = as_rng(rng)
        super().__init__([MaskedConv(shape, kernel_size, reverse, rng, dtype) for reverse in (False, True)])

    def config(self):
        return {"shape": self.x_shape, "kernel_size": self.flows[0].kernel_size}


def turn(images):
    """Images turned by 180 degrees: the last pixel first.

    >>> turn(np.arange(4.0).reshape(1, 2, 2, 1)).ravel()
    array([3., 2., 1., 0.])
    """
    return images[:, ::-1, ::-1]


def transpose(K):
    """The kernel of the K_ab^T."""
    return np.swapaxes(K, -1, -2)


def convolve(K, x):
    """y[i, j] = sum_ab K[a, b] x[i - a, j - b], with zeros outside the image; images ``(n, height, width, channels)``.

    >>> convolve(np.reshape([1.0, 10.0, 0.0, 0.0], (2, 2, 1, 1)), np.ones((1, 1, 3, 1))).ravel()
    array([ 1., 11., 11.])
    """
    _, height, width, _ = x.shape
    y = np.zeros(x.shape, np.result_type(K, x))
    for a, b in offsets(K, x):
        y[:, a:, b:] += x[:, :height - a, :width - b] @ K[a, b].T
    return y


def kernel_gradient(K, grad_y, x):
    """The gradient of `convolve` with respect to K: grad_K[a, b] = sum of grad_y[i, j] x[i - a, j - b]^T.

    >>> kernel_gradient(np.zeros((1, 2, 1, 1)), np.ones((1, 1, 3, 1)), np.ones((1, 1, 3, 1))).ravel()
    array([3., 2.])
    """
    _, height, width, channels = x.shape
    grad_K = np.zeros(K.shape, np.result_type(grad_y, x))
    for a, b in offsets(K, x):
        later, earlier = grad_y[:, a:, b:], x[:, :height - a, :width - b]
        grad_K[a, b] = later.reshape(-1, channels).T @ earlier.reshape(-1, channels)
    return grad_K


def offsets(K, x):
    """The (a, b) of the taps that fit into the image at all."""
    return [(a, b) for a in range(min(K.shape[0], x.shape[1])) for b in range(min(K.shape[1], x.shape[2]))]


def substitute(K, y, lower=True):
    """x with `convolve`(K, x) = y, one antidiagonal of pixels after another; K[0, 0] lower or upper triangular.

    >>> substitute(np.reshape([1.0, 10.0, 0.0, 0.0], (2, 2, 1, 1)), np.reshape([1.0, 11.0, 11.0], (1, 1, 3, 1))).ravel()
    array([1., 1., 1.])
    """
    n, height, width, channels = y.shape
    reach = len(K) - 1
    a, b = np.divmod(np.arange(1, (reach + 1) ** 2), reach + 1)  # all taps but the centre
    taps = np.moveaxis(K[a, b], 0, 1).reshape(channels, -1)      # side by side: one product for all of them
    x = np.zeros((n, height + reach, width + reach, channels), np.result_type(K, y))  # zeros above and to the left
    for step in range(height + width - 1):
        i = np.arange(max(0, step - width + 1), min(height, step + 1))
        j = step - i                                             # the pixels with i + j = step
        earlier = x[:, (i + reach)[:, None] - a, (j + reach)[:, None] - b]  # (n, pixels, taps, channels)
        rest = y[:, i, j] - earlier.reshape(n, len(i), len(a) * channels) @ taps.T
        x[:, i + reach, j + reach] = solve_triangular(K[0, 0], rest.reshape(-1, channels), lower).reshape(rest.shape)
    return x[:, reach:, reach:]
