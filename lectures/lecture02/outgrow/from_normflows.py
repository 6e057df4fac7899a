"""normflows' MAF, RealNVP and Glow as nfnumpy models. Its lists of flows begin at the noise, ours at the data."""
import numpy as np

import nfnumpy as nf
from nfnumpy.flows.image_coupling import ImageCoupling
from nfnumpy.flows.linear_map import beside_diagonal
from nfnumpy.flows.multiscale import MultiScale
from nfnumpy.flows.plu import PLU
from nfnumpy.flows.squeeze import Squeeze
from nfnumpy.flows.transformers import Affine
from nfnumpy.nets.cnn import Conv2d
from nfnumpy.nets.resnet import Sequential

from .relabelling import (Backwards, Sigmoid, autoregressive, fill, layers, model_of, pairs, scale_first, softplus,
                          steps, units_by_degree, widths)


class NormflowsAutoregressive(nf.GaussianAutoregressive):
    """``Reverse(MaskedAffineAutoregressive(...))``: z = scale x + shift, scale = sigmoid(r + 2) + 0.001."""

    transformer = Backwards(Sigmoid(least=1e-3))


class Exp(Affine):
    """log sigma = r, without a bound."""

    def mu_and_log_sigma(self, params):
        return params[..., 0], params[..., 1]

    def _bound_slope(self, log_sigma):                           # dr/dr
        return np.ones_like(log_sigma)


class NormflowsCoupling(nf.Coupling):
    """`AffineCouplingBlock` with ``scale_map="exp"``: x = sigma z + mu, as on the slides."""

    transformer = Exp()


class OverSigmoid(Affine):
    """sigma = 1 / sigmoid(r + 2): at least 1, however small r is."""

    def mu_and_log_sigma(self, params):
        return params[..., 0], softplus(-2 - params[..., 1])

    def _bound_slope(self, log_sigma):                           # d softplus(-u) / du = -sigmoid(-u), and
        return np.expm1(-log_sigma)                              # sigmoid(-u) = 1 - exp(-softplus(-u))


class GlowCoupling(ImageCoupling):
    """The coupling of a `GlowBlock`, ``scale_map="sigmoid"``: x = sigma z + mu."""

    transformer = OverSigmoid()


def swapped(flows):
    """`flows` as normflows lists them, each followed there by ``Permute(mode="swap")``; an even dimension."""
    dim = flows[0].x_shape[0]
    swap = np.roll(np.arange(dim), dim // 2)
    return model_of([part for flow in reversed(flows) for part in (nf.Permutation(swap), flow)])


def merged(network):
    """The first two layers as one: there is no activation between them where there are no residual blocks.

    ::

        (B, beta) after (A, alpha):     W = B A,    b = B alpha + beta              A and B with their masks
    """
    (A, alpha, mask_A), (B, beta, mask_B), *rest = network
    A, B = mask_A * A, mask_B * B
    return [(B @ A, B @ alpha + beta, (mask_B @ mask_A > 0).astype(float)), *rest]


def maf(arrays):
    """``Reverse(MaskedAffineAutoregressive(..., use_residual_blocks=False))`` and ``Permute(mode="swap")`` in turn."""
    return swapped([autoregressive(NormflowsAutoregressive, merged(layers(step)), scale_first)
                    for step in steps(arrays, "flows")])


def maf_gradient(arrays, model, gradient):
    """Our flat `gradient` of the `model` that `maf` made of `arrays`, in normflows' own arrays: ``{name: array}``.

    Every other mapping reorders numbers. This one multiplies matrices, and gradients come back by its adjoint::

        W = B A                 grad_B  = mask_B * (grad_W A^T),        grad_A = mask_A * (B^T grad_W)
        b = B alpha + beta      grad_B += mask_B * (grad_b alpha^T),    grad_alpha = B^T grad_b,  grad_beta = grad_b
    """
    gradients, ours, found = {}, model.flow.named(gradient), steps(arrays, "flows")
    for k, step in enumerate(found):
        network = layers(step)
        (A, alpha, mask_A), (B, _, mask_B), (_, output_bias, _) = network
        A, B = mask_A * A, mask_B * B
        W, b, output_W, output_b = (ours[f"{2 * (len(found) - k) - 1}.net.{name}"] for name in ("W0", "b0", "W1", "b1"))
        units = np.argsort(units_by_degree(merged(network))[0])  # from our order of units and outputs to theirs
        outputs = np.argsort(scale_first(len(output_bias) // 2))
        grad_W, grad_b = W[units], b[units]
        values = [mask_A * (B.T @ grad_W), B.T @ grad_b, mask_B * (grad_W @ A.T + np.outer(grad_b, alpha)), grad_b,
                  output_W[outputs][:, units], output_b[outputs]]
        names = [name for name in step if name.endswith(("weight", "bias"))]
        gradients.update({f"flows.{2 * k}.{name}": value for name, value in zip(names, values)})
    return gradients


def realnvp(arrays):
    """`AffineCouplingBlock` and ``Permute(mode="swap")`` in turn."""
    flows = []
    for step in steps(arrays, "flows"):
        network = layers(step)
        flows.append(NormflowsCoupling(2 * network[0][0].shape[1], widths(network), rng=0))
        fill(flows[-1].net, network, pairs)
    return swapped(flows)


def glow(arrays, shape):
    """`MultiscaleFlow` of levels of `GlowBlock`, `Squeeze`; `shape` is ours, (height, width, channels).

    Its s and t are our log sigma and mu; W = P L U is the same matrix in both, here with a bias, which is zero.
    """
    levels = []
    for k in reversed(range(len(steps(arrays, "flows")))):       # listed from the coarsest level to the finest
        flows = [Squeeze(shape, order="channel")]
        shape = flows[0].z_shape
        for block in reversed(steps(arrays, f"flows.{k}")):
            coupling, conv1x1, normalization = steps(block, "flows")
            flows += [actnorm(normalization, shape), nf.Conv1x1(shape, linear=plu(conv1x1)),
                      GlowCoupling(shape, convolutions(layers(coupling)), "channel")]
        levels.append(nf.Composition(flows))
        shape = (*shape[:2], shape[2] // 2)
    return nf.NormalizingFlow(MultiScale(levels))


def actnorm(arrays, shape):
    """`ActNorm`: x = exp(s) z + t."""
    flow = nf.ActNorm(shape)
    flow.mu, flow.log_sigma = arrays["t"].ravel(), arrays["s"].ravel()
    return flow


def plu(arrays):
    """`Invertible1x1Conv` with ``use_lu=True``. L and U are whole matrices there, of which only one side is in use."""
    dim = len(arrays["log_S"])
    flow = PLU(dim, perm=arrays["P"].argmax(axis=1), signs=arrays["sign_S"])
    flow.below = arrays["L"][beside_diagonal(dim, lower=True)]
    flow.above = arrays["U"][beside_diagonal(dim, lower=False)]
    flow.log_diagonal = arrays["log_S"]
    return flow


def convolutions(network):
    """`ConvNet2d`: kernels go from (c_out, c_in, height, width) to (height * width, c_in, c_out)."""
    parts = []
    for k, (W, b) in enumerate(network):
        c_out, c_in, size, _ = W.shape
        rows = pairs(c_out // 2) if k == len(network) - 1 else np.arange(c_out)
        conv = Conv2d(c_in, c_out, size, rng=0)
        conv.W, conv.b = W[rows].transpose(2, 3, 1, 0).reshape(size * size, c_in, c_out), b[rows]
        parts += [conv, "relu"]
    return Sequential(parts[:-1])


def noise(flow, pieces):
    """Glow's z: a list of images, the coarsest first, as our flat vector, which has the finest first."""
    return flow.join([channels_last(piece) for piece in reversed(pieces)])


def channels_last(images):
    """``(n, channels, height, width)`` as ``(n, height, width, channels)``."""
    return images.transpose(0, 2, 3, 1)
