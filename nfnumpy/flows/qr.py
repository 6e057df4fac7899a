"""The QR linear flow: W as an orthogonal matrix, made of reflections, times a triangular one."""
import math

import numpy as np

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.flows.linear_map import (LinearMap, as_invertible, beside_diagonal, random_rotation, solve_triangular,
                                      triangle)


class QR(LinearMap):
    """z = Q R x + b with Q a product of m Householder reflections and one fixed sign, R triangular.

    ::

        Q = H_1 H_2 ... H_m diag(1, ..., 1, s),         H_k = I - 2 v_k v_k^T / (v_k^T v_k),         s = 1 or -1, fixed
        R   upper triangular with the positive diagonal exp(log_diagonal)
        T = diag(1, ..., 1, s) R, so that W = Q R = H_1 H_2 ... H_m T

    Formulas
    --------
    where:         H = [I - 2 * outer(v, v) / (v @ v) for v in V]
                   a(v, h) = 2 * (v @ h) / (v @ v)
                   pull(v, h, g) = a(v, h) * a(v, g) * v - a(v, h) * g - a(v, g) * h
    f:             h[m] = T @ x
                   for k in reversed(range(m)): h[k] = H[k] @ h[k + 1]
                   z = h[0] + b
    g:             h[0] = z - b
                   for k in range(m): h[k + 1] = H[k] @ h[k]
                   x = solve(T, h[m])
    log abs det:   log_det = sum(log_diagonal)
    adjoint of f:  grad_h[0] = grad_z
                   for k in range(m): grad_h[k + 1] = H[k] @ grad_h[k]
                   for k in range(m): grad_V[k] = pull(V[k], h[k + 1], grad_h[k])
                   grad_x = T.T @ grad_h[m]
                   grad_b = grad_z
                   grad_above = strictly_upper(outer(grad_h[m], x))
                   grad_log_diagonal = grad_h[m] * x * diag(T) + grad_log_det
    adjoint of g:  grad_h[m] = solve(T.T, grad_x)
                   for k in reversed(range(m)): grad_h[k] = H[k] @ grad_h[k + 1]
                   for k in range(m): grad_V[k] = pull(V[k], h[k], grad_h[k + 1])
                   grad_z = grad_h[0]
                   grad_b = -grad_z
                   grad_above = -strictly_upper(outer(grad_h[m], x))
                   grad_log_diagonal = -grad_h[m] * x * diag(T) - grad_log_det

    log abs det W = log abs (det Q det R) costs O(m), the inverse m reflections and a substitution, O(m^2) a sample.

    A reflection has determinant -1 whatever its v_k, so that the sign of det W never changes in training: it is
    (-1)^m s. Each of the two values of s gives one of the two components of the invertible matrices, and all of it.

    Parameters
    ----------
    dim : int
        m.
    W : array ``(m, m)``, optional
        What is decomposed; invertible. Default: a random rotation, its last column times `sign`.
    sign : 1 or -1, optional
        Of det W, where no W is given; default 1.
    rng : None, int or Generator
        For the rotation.
    dtype : numpy dtype
        float64 or float32.

    Raises
    ------
    ValueError
        For a W that is not square, not finite, or singular (its numerical rank is named), for a sign that is neither 1
        nor -1, and at run time for a reflection vector that is zero.

    Notes
    -----
    Parameters: the reflection vectors, the rows of `V` ``(m, m)``; `log_diagonal` ``(m,)``; and, row by row, the
    entries of T `above` its diagonal ``(m (m - 1) / 2,)``. T has the diagonal signs_j exp(log_diagonal_j), where
    signs = (1, ..., 1, s).

    One reflection and its adjoint. Let y = H h = h - 2 v (v . h) / (v . v), with grad_y = g given. Then::

        dy = H dh - 2 dv (v . h) / (v . v) - 2 v (h . dv) / (v . v) + 4 v (v . h) (v . dv) / (v . v)^2
        grad_h = H g                                                        H is symmetric
        grad_v = - 2 ((v . h) g + (v . g) h) / (v . v) + 4 (v . g) (v . h) v / (v . v)^2
               = - a g - b h + a b v        with a = 2 (v . h) / (v . v),  b = 2 (v . g) / (v . v)

    grad_v is orthogonal to v, as it must be: H does not depend on the length of v. For a batch, grad_v is summed over
    the rows. H H = I, so that going back through the reflections recomputes every h from its y; nothing is stored.

    Forward: t = T x, then y = H_1 ... H_m t, the last reflection first. With t's gradient from the reflections::

        dt = dT x + T dx        grad_T = grad_t x^T, upper entries,       grad_x = T^T grad_t
        d T_jj / d log_diagonal_j = T_jj:   grad_log_diagonal_j = grad_T_jj T_jj + grad_log_det

    Inverse: t = H_m ... H_1 y, the first reflection first, then T x = t, whose differential is T dx = dt - dT x::

        grad_t = T^-T grad_x,       grad_T = - grad_t x^T, upper entries,
        grad_log_diagonal_j = grad_T_jj T_jj - grad_log_det

    and grad_y comes from grad_t through the reflections, in the opposite order.

    Domain: no v_k is zero (nor so short or long that v . v vanishes or overflows); exp(log_diagonal) neither overflows
    nor vanishes.

    References
    ----------
    Lecture 2, "Linear normalizing flows", QR-decomposition. Hoogeboom, van den Berg, Welling: Emerging Convolutions for
    Generative Normalizing Flows, 2019, section 3.3.

    Examples
    --------
    >>> flow = QR(2, W=[[0.0, -2.0], [1.0, 3.0]])
    >>> flow.Q.round(12) + 0.0, flow.R.round(12)
    (array([[ 0., -1.], [ 1., 0.]]), array([[1., 3.], [0., 2.]]))
    >>> bool(np.allclose(flow.W, [[0.0, -2.0], [1.0, 3.0]]))
    True
    """

    def __init__(self, dim, W=None, sign=None, rng=None, dtype=np.float64):
        dim = as_count(dim, "dim", minimum=1)
        if sign not in (None, 1, -1):
            raise ValueError(f"sign: expected 1 or -1, got {sign!r}")
        if W is None:
            W = random_rotation(dim, as_rng(rng))
            W[:, -1] *= sign or 1
        elif sign is not None:
            raise ValueError("W: expected either W or the sign of its determinant, got both")
        Q, R = np.linalg.qr(as_invertible(W, dim))
        flip = np.where(np.diagonal(R) < 0, -1.0, 1.0)
        Q, R = Q * flip, flip[:, None] * R                       # with a positive diagonal of R there is only one
        signs = np.ones(dim)
        signs[-1] = s = (-1) ** dim * (1 if np.linalg.det(Q) > 0 else -1)  # det H_1 ... H_m = (-1)^m = s det Q
        T = signs[:, None] * R
        super().__init__(dim, {"V": reflection_vectors(Q * signs), "above": T[beside_diagonal(dim, lower=False)],
                               "log_diagonal": np.log(np.diagonal(R))}, {"signs": signs}, dtype)

    @property
    def Q(self):
        """The orthogonal factor, ``(m, m)``."""
        return reflect(self.V[::-1], np.eye(len(self.V), dtype=self.dtype))[0].T * self.signs

    @property
    def R(self):
        """The upper triangular factor with a positive diagonal, ``(m, m)``."""
        return self.signs[:, None] * self.T

    @property
    def T(self):
        """diag(1, ..., 1, s) R, ``(m, m)``: what stands to the right of the reflections."""
        return triangle(self.above, self.signs * np.exp(self.log_diagonal), lower=False)

    @property
    def W(self):
        """Q R, ``(m, m)``."""
        return self.Q @ self.R

    @property
    def log_abs_det(self):
        """log abs det W = sum_j log_diagonal_j."""
        return self.log_diagonal.sum()

    def multiply(self, x):
        """``(W x, log abs det W), vjp``."""
        T = self.T
        t = x @ T.T                                              # t = T x
        y, reflect_vjp = reflect(self.V[::-1], t)                # y = H_1 ... H_m t

        def vjp(grad_y, grad_log_abs_det, grad):
            grad_t = reflect_vjp(grad_y, grad["V"][::-1])
            self._write(grad, grad_t.T @ x, T, grad_log_abs_det)
            return grad_t @ T                                    # T^T grad_t

        return (y, self.log_abs_det), vjp

    def solve(self, y):
        """``(W^-1 y, log abs det W), vjp``."""
        T = self.T
        t, reflect_vjp = reflect(self.V, y)                      # t = H_m ... H_1 y
        x = solve_triangular(T, t, lower=False)                  # T x = t

        def vjp(grad_x, grad_log_abs_det, grad):
            grad_t = solve_triangular(T, grad_x, lower=False, transpose=True)  # T^-T grad_x
            self._write(grad, -grad_t.T @ x, T, grad_log_abs_det)
            return reflect_vjp(grad_t, grad["V"])

        return (x, self.log_abs_det), vjp

    def _write(self, grad, grad_T, T, grad_log_abs_det):
        grad["above"][...] = grad_T[beside_diagonal(len(T), lower=False)]
        # dT_jj/dlog_diagonal_j = T_jj, dlog_abs_det/dlog_diagonal_j = 1
        grad["log_diagonal"][...] = np.diagonal(grad_T) * np.diagonal(T) + grad_log_abs_det

    def config(self):
        return {"dim": len(self.b), "sign": int((-1) ** len(self.b) * self.signs[-1].real)}


def reflect(V, h):
    """Each row of h reflected at the rows of V in turn, ``(n, m)``, and ``vjp(grad, grad_V) -> grad_h``.

    The vjp writes the gradient of the reflection vectors into `grad_V`. See `QR` for the derivation.

    >>> reflect(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[3.0, 5.0]]))[0]       # (3, 5) -> (-3, 5) -> (-5, 3)
    array([[-5., 3.]])
    """
    lengths = (V * V).sum(axis=1)                                # v . v
    if (lengths == 0).any():
        zeros = np.count_nonzero(lengths == 0)
        raise ValueError(f"V: expected reflection vectors that are not zero, got {zeros} that are")
    for v, vv in zip(V, lengths):
        h = h - np.outer(h @ v * 2 / vv, v)                      # h <- h - 2 v (v . h) / (v . v)
    reflected = h

    def vjp(grad, grad_V):
        h = reflected
        for k in reversed(range(len(V))):
            v, vv = V[k], lengths[k]
            b = grad @ v * 2 / vv                                # b = 2 (v . g) / (v . v)
            a = h @ v * -2 / vv                                  # a = 2 (v . h) / (v . v), but v . H h = - v . h
            h = h + np.outer(a, v)                               # h as it was before this reflection: H H = I
            grad_V[k] = (a @ b) * v - a @ grad - b @ h           # a b v - a g - b h, summed over the rows
            grad = grad - np.outer(b, v)                         # H g
        return grad

    return reflected, vjp


def reflection_vectors(Q):
    """m vectors, the rows of a ``(m, m)`` array, with H_1 H_2 ... H_m = Q; Q orthogonal with det Q = (-1)^m.

    Column by column, the reflection at v = a - e_k moves column a to e_k; the vectors before e_k stay, since v has
    zeros there. At the end H_m ... H_1 Q = I. A column that is e_k already needs no reflection. Each one changes the
    sign of the determinant, so that an even number of them is left over: equal neighbours, which undo each other, fill
    up.

    >>> V = reflection_vectors(np.eye(2))
    >>> V
    array([[1., 0.],
           [1., 0.]])
    """
    dim, A, vectors = len(Q), np.array(Q), []
    for k in range(dim):
        v, rest = np.zeros(dim), math.fsum(A[k + 1:, k] ** 2)
        v[k + 1:] = A[k + 1:, k]
        if A[k, k] > 0:
            v[k] = -rest / (1 + A[k, k])                         # A_kk - 1, as A_kk^2 + rest = 1: no cancellation
        else:
            v[k] = A[k, k] - 1
        length = math.sqrt(math.fsum(v * v))
        if length > 1e-150:                                      # below, v . v is no longer a normal number, and H is I
            vectors.append(v / length)
            A -= np.outer(2 * vectors[-1], vectors[-1] @ A)
    filling = np.eye(dim)[:1].repeat(dim - len(vectors), axis=0)
    return np.concatenate([np.reshape(vectors, (-1, dim)), filling])
