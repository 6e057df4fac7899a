"""Products with a masked matrix that leave out what the mask puts to zero.

MADE's units stand sorted by degree, so that its masks are block triangular: half of a plain product multiplies zeros. This
is the fast path behind `MADE`; the plain formulas, with ``M = mask * W``, are ``h @ M.T`` and its adjoints, and tests
compare them.
"""
import numpy as np

# Rows of a block at least: smaller products would cost more in calls than they save in arithmetic.
BLOCK = 64


class MaskedProducts:
    """a = M h for a batch, M = mask * W, and both adjoints, as products of contiguous blocks of M.

    Parameters
    ----------
    mask : array of 0 and 1, ``(above, below)``

    Examples
    --------
    >>> products = MaskedProducts(np.array([[1.0, 0.0], [1.0, 1.0]]))
    >>> products.apply(np.array([[10.0, 1.0]]), np.array([[2.0, 0.0], [3.0, 4.0]]))
    array([[20., 34.]])
    """

    def __init__(self, mask):
        self.by_rows, self.by_columns = blocks(mask), blocks(mask.T)

    def __deepcopy__(self, memo):
        return self                                              # nothing in it ever changes

    def apply(self, h, M):
        """a = h M^T, ``(n, above)``: a row of M needs only the inputs that it sees."""
        if len(self.by_rows) == 1:                               # not cut: the plain product
            return h @ M.T
        a = np.empty((len(h), len(M)), np.result_type(h, M))
        for rows, columns in self.by_rows:
            np.matmul(h[:, columns], M[rows, columns].T, out=a[:, rows])
        return a

    def pull_input(self, grad_a, M):
        """dL/dh = dL/da M, ``(n, below)``: an input needs only the rows that see it."""
        if len(self.by_columns) == 1:
            return grad_a @ M
        grad_h = np.empty((len(grad_a), M.shape[1]), np.result_type(grad_a, M))
        for columns, rows in self.by_columns:
            np.matmul(grad_a[:, rows], M[rows, columns], out=grad_h[:, columns])
        return grad_h

    def pull_weight(self, grad_a, h, mask, out):
        """dL/dW = mask * (dL/da^T h), written into `out`, ``(above, below)``."""
        if len(self.by_rows) == 1:
            np.multiply(mask, grad_a.T @ h, out=out)
            return
        for rows, columns in self.by_rows:
            out[rows, :columns.start], out[rows, columns.stop:] = 0, 0
            seen = out[rows, columns]
            np.matmul(grad_a[:, rows].T, h[:, columns], out=seen)
            seen *= mask[rows, columns]                          # what the mask hides in a block on the staircase


def blocks(mask):
    """Pairs ``(rows, columns)`` of slices: all rows in blocks, each with the range of columns in which it is not zero.

    A matrix of few columns is one block, of all of them.

    >>> blocks(np.tri(128, dtype=bool))
    [(slice(0, 64, None), slice(0, 64, None)), (slice(64, 128, None), slice(0, 128, None))]
    """
    if mask.shape[1] <= BLOCK:                                   # cut out of so few columns, little is saved
        return [(slice(0, mask.shape[0]), slice(0, mask.shape[1]))]
    pairs = []
    for rows in np.array_split(np.arange(len(mask)), max(1, len(mask) // BLOCK)):
        rows = slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 0)
        seen = np.flatnonzero(mask[rows].any(axis=0))
        pairs.append((rows, slice(int(seen[0]), int(seen[-1]) + 1) if len(seen) else slice(0, 0)))
    return pairs
