"""The linear flows by name."""
import numpy as np

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.flows.dense import Dense
from nfnumpy.flows.elementwise import Diagonal
from nfnumpy.flows.plu import PLU
from nfnumpy.flows.qr import QR
from nfnumpy.flows.triangular import Triangular

KINDS = {"diagonal": Diagonal, "triangular": Triangular, "dense": Dense, "plu": PLU, "qr": QR}
ROTATED = ("dense", "plu", "qr")        # these hold rotations, and start at a random one; the others start at W = I


def linear_flow(dim, kind="plu", rng=None, dtype=np.float64):
    """The linear flow z = W x + b with W of the given kind.

    ============  =====================================  =============  ============================================
    kind          W                                      log abs det W  x = W^-1 (z - b), a sample
    ============  =====================================  =============  ============================================
    "diagonal"    a sign and a scale for each            O(m)           O(m)
    "triangular"  lower triangular                       O(m)           O(m^2)
    "dense"       every entry                            O(m^3)         O(m^2), after the O(m^3) of LU
    "plu"         P L U, with P and U's signs fixed      O(m)           O(m^2)
    "qr"          Q R, with the sign of det W fixed      O(m)           O(m^2)
    ============  =====================================  =============  ============================================

    Dense reaches every invertible W, QR all those with one sign of the determinant, PLU those whose P^T W has leading
    minors of the fixed signs. With a standard-normal base each of them, and Triangular, reaches every Gaussian.

    Parameters
    ----------
    dim : int
        m.
    kind : {"plu", "qr", "dense", "triangular", "diagonal"}
    rng : None, int or Generator
        For the random rotation at which dense, plu and qr start; the others start at the identity.
    dtype : numpy dtype

    Raises
    ------
    ValueError
        For another kind, or dim below 1.

    References
    ----------
    Lecture 2, "Linear normalizing flows".

    Examples
    --------
    >>> linear_flow(3, "qr", rng=0)
    QR(dim=3, sign=1)
    """
    dim = as_count(dim, "dim", minimum=1)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    if kind in ROTATED:
        return KINDS[kind](dim, rng=as_rng(rng), dtype=dtype)
    return KINDS[kind](dim, dtype=dtype)
