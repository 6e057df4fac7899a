"""zuko's MAF and RealNVP as nfnumpy models."""
import math

import numpy as np

import nfnumpy as nf
from nfnumpy.flows.transformers import Affine

from .relabelling import Backwards, autoregressive, couplings, layers, model_of, pairs, steps


class SoftClip(Affine):
    """log sigma = r / (1 + abs(r) / B), B = log 1000: sigma stays between 1/1000 and 1000."""

    bound = math.log(1000.0)

    def mu_and_log_sigma(self, params):
        r = params[..., 1]
        return params[..., 0], r / (1 + r * np.sign(r.real) / self.bound)

    def _bound_slope(self, log_sigma):
        # 1 / (1 + abs(r) / B)^2,     and     1 - abs(log_sigma) / B = 1 / (1 + abs(r) / B)
        return (1 - log_sigma * np.sign(log_sigma.real) / self.bound) ** 2


class ZukoAutoregressive(nf.GaussianAutoregressive):
    """`MaskedAutoregressiveTransform`: z = scale x + shift."""

    transformer = Backwards(SoftClip())


class ZukoCoupling(nf.Coupling):
    """`GeneralCouplingTransform`: z = scale x + shift."""

    transformer = Backwards(SoftClip())


def maf(arrays):
    """``zuko.flows.MAF``: every other layer takes the coordinates in reversed order; nothing is permuted in between."""
    return model_of([autoregressive(ZukoAutoregressive, layers(step), pairs, order=np.argsort(step["order"]))
                     for step in steps(arrays, "transform.transforms")])


def realnvp(arrays):
    """``zuko.flows.RealNVP``: coordinates of even and of odd index condition in turn, where its mask is True."""
    found = steps(arrays, "transform.transforms")
    networks, conditioning = zip(*((layers(step), np.flatnonzero(step["mask"])) for step in found))
    return couplings(ZukoCoupling, networks, conditioning, pairs)
