"""Masks for causal convolutions.

Lecture 2, slide "Recap of previous lecture", the box "Autoregressive CNN". About 15 minutes.

Pixels of an image have an order, row after row, each row from left to right. A convolution with a k x k kernel is

    out[i, j] = sum over a, b of mask[a, b] W[a, b] image[i + a - r, j + b - r],      r = (k - 1) / 2,     0 outside

so that the kernel's middle, a = b = r, sees the pixel itself. (In deep learning this is a convolution: nothing is
flipped.)
The first convolution of an autoregressive CNN has type A; the ones above it, whose input at (i, j) no longer knows the
pixel (i, j), have type B.
"""
import numpy as np


def causal_mask(k, kind):
    """The mask of a causal convolution.

        mask[a, b] = 1      type "A": where the kernel sees a pixel that comes before (i, j) in the order
                            type "B": there, and where it sees the pixel (i, j) itself
                     0      elsewhere

    Takes an odd whole number k and the text "A" or "B". Returns an array (k, k).
    """
    raise NotImplementedError
