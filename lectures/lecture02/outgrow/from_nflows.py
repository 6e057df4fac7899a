"""nflows' masked affine and affine coupling transforms as nfnumpy models."""
import nfnumpy as nf

from .relabelling import (Backwards, Sigmoid, Softplus, autoregressive, blocks, couplings, layers, model_of,
                          scale_first, steps)


class NflowsAutoregressive(nf.GaussianAutoregressive):
    """`MaskedAffineAutoregressiveTransform`: z = scale x + shift, scale = softplus(r) + 0.001."""

    transformer = Backwards(Softplus(start=0.0, least=1e-3))


class NflowsCoupling(nf.Coupling):
    """`AffineCouplingTransform`: z = scale x + shift, scale = sigmoid(r + 2) + 0.001."""

    transformer = Backwards(Sigmoid(least=1e-3))


def maf(arrays):
    """`ReversePermutation` and `MaskedAffineAutoregressiveTransform` in turn; ``use_residual_blocks=False``."""
    return model_of([nf.Permutation(step["_permutation"]) if "_permutation" in step else
                     autoregressive(NflowsAutoregressive, layers(step), scale_first)
                     for step in steps(arrays, "_transform._transforms")])


def realnvp(arrays):
    """`AffineCouplingTransform` with two alternating masks, which are positive where x *moves*."""
    found = steps(arrays, "_transform._transforms")
    networks, conditioning = zip(*((layers(step), step["identity_features"]) for step in found))
    return couplings(NflowsCoupling, networks, conditioning, blocks)
