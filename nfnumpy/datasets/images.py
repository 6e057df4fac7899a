"""Images of whole grey values, and what makes a density of them possible: dequantization."""
import pathlib

import numpy as np

from nfnumpy.arrays import as_array, as_rng


def dequantize(x, rng):
    """Whole numbers plus uniform noise u on [0, 1): data with a density. float64, of the shape of `x`.

    Whole numbers have probabilities P(x), not densities. A flow p that is fitted to them directly can put ever
    narrower peaks on them, and its likelihood diverges: three of the 64 pixels of the digits are always 0, where a
    Gaussian of width sigma gains log(1 / sigma) without end. With noise, the model's P(x) is the integral of p over
    the unit cube at x, and by Jensen's inequality

        log P(x) = log E_u p(x + u)  >=  E_u log p(x + u)

    so that the log-likelihood of dequantized data is a lower bound on a real one, and cannot exceed 0 on average.

    Arguments: `x`, whole numbers of any real dtype and any shape; `rng`, None, an int or a Generator. A training loop
    passes a Generator, to draw new noise each time.

    Raises ValueError for numbers that are not whole, with the first of them.

    Source: L. Theis, A. van den Oord, M. Bethge, "A note on the evaluation of generative models", ICLR 2016.

    >>> np.floor(dequantize([[0, 16]], rng=0))
    array([[ 0., 16.]])
    """
    x = as_array(x, words="whole numbers")
    if x.dtype.kind == "c":
        raise ValueError(f"x: expected whole numbers, got an array of dtype {x.dtype}")
    x = x.astype(np.float64)
    with np.errstate(invalid="ignore"):
        fractional = ~(np.isfinite(x) & (np.floor(x) == x))
    if fractional.any():
        first = tuple(int(i) for i in np.argwhere(fractional)[0])
        raise ValueError(f"x: expected whole numbers, got {int(fractional.sum())} that are not, "
                         f"the first {float(x[first])!r} at index {first}")
    # rounding must not carry x + u up to x + 1, which is the next grey value's
    return np.minimum(x + as_rng(rng).random(x.shape), np.nextafter(x + 1, x))


def digits():
    """Handwritten digits: images ``(1797, 8, 8, 1)`` uint8 of whole grey values 0..16, labels ``(1797,)`` uint8.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
    1998, doi 10.24432/C50P49, CC BY 4.0.

    >>> images, labels = digits()
    >>> images.shape, int(images.max()), int(labels[0])
    ((1797, 8, 8, 1), 16, 0)
    """
    with np.load(pathlib.Path(__file__).parent / "digits.npz", allow_pickle=False) as arrays:
        return arrays["images"][..., None], arrays["labels"]


def patches(rng=None):
    """Natural-image patches, ``(4662, 63)`` float64, prepared as the BSDS300 benchmark of density estimation.

    8 by 8 grey patches of the photograph that matplotlib ships, dequantized and divided by 256; the mean of each patch
    is subtracted and its last pixel, by then determined by the other 63, dropped.

    Source of the preparation: D. Zoran and Y. Weiss, "From learning models of natural image patches to whole image
    restoration", ICCV 2011; G. Papamakarios, T. Pavlakou, I. Murray, "Masked autoregressive flow for density
    estimation", NeurIPS 2017, appendix.

    >>> patches(rng=0).shape
    (4662, 63)
    """
    from matplotlib.cbook import get_sample_data            # here, since `import nfnumpy` must not load matplotlib
    from matplotlib.image import imread

    photograph = imread(get_sample_data("grace_hopper.jpg", asfileobj=False))
    grey = np.rint(photograph[..., :3] @ [0.299, 0.587, 0.114])             # luma of ITU-R BT.601, as JPEG's own
    # Tiles do not overlap: no pixel is in a training and in a test patch. They start at (4, 4), half-way between the
    # 8 by 8 blocks that JPEG quantizes: aligned with them, each patch would be one inverse cosine transform of a few
    # whole numbers, a lattice that a flow could learn instead of the photograph.
    grey = grey[4:, 4:]
    rows, columns = grey.shape[0] // 8, grey.shape[1] // 8
    tiles = grey[:8 * rows, :8 * columns].reshape(rows, 8, columns, 8).swapaxes(1, 2).reshape(-1, 64)
    x = dequantize(tiles, rng) / 256
    return (x - x.mean(axis=1, keepdims=True))[:, :-1]
