"""MADE: the degrees and the masks that make a network autoregressive.

Lecture 2, slide "Autoregressive MLP"; Germain et al., MADE, 2015. About 30 minutes.

Every input, hidden unit and output of the network has a degree. That of an input is its place in the order, 1 for the
first and m for the last. A hidden unit of degree d may see the inputs of degree up to d. The outputs for input k, with
its degree, are the parameters of its distribution given the inputs before it in the order: they may see no others.
"""
import numpy as np


def made_degrees(m, widths):
    """Degrees for the hidden units, of your choice.

    Whole numbers from 1 to m - 1. A network with m - 1 units or more in every layer must lose no permitted path: then
    each of these degrees occurs in each layer. For m = 1 nothing is permitted, and any whole numbers do.

    Takes m and the widths of the hidden layers, a list of whole numbers. Returns a list of arrays (width,), one each.
    """
    raise NotImplementedError


def made_masks(degrees, hidden_degrees, outputs):
    """Which weights stay: a mask of zeros and ones for each layer, of the shape of its weights W in a = W h + b.

        hidden layers    a unit sees the units below whose degree is not higher than its own
        output layer     an output sees the units below whose degree is lower than its own

    Takes the degrees of the inputs, (m,), a permutation of 1 .. m; hidden_degrees, a list of arrays (width,), or empty;
    and how many outputs each input has. Returns a list of masks, (units above, units below) each, from the inputs
    up. Row p m + k of the last one is output p of input k: first all mu, say, then all log_sigma.
    """
    raise NotImplementedError
