"""The builders of the flows on the slides: a model from its dimensions and its layers. Of images: `image_models`."""
import numpy as np

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.composition import Composition, Inverse
from nfnumpy.flows import ContinuousFlow, Coupling, GaussianAutoregressive, Permutation
from nfnumpy.flows.linear import linear_flow
from nfnumpy.model import NormalizingFlow


def maf(dim, steps=5, hidden=(64, 64), activation="relu", rng=None, dtype=np.float64, transformer="affine",
        context=0):
    """A masked autoregressive flow: `steps` Gaussian autoregressive layers, the order reversed between them.

    Parameters
    ----------
    dim, steps : int
        m dimensions, K layers.
    hidden, activation
        Of each layer's MADE.
    rng : None, int or Generator
    dtype : numpy dtype
    transformer : {"affine", "additive", "spline", "mixture"} or Transformer
        How a coordinate moves: Gaussian conditionals, a shift (NICE), a rational-quadratic spline or a mixture of
        logistics, for both of which data should be standardised; ``RationalQuadratic(bins, bound)`` and
        ``MixtureOfLogistics(components)`` set their sizes.
    context : int
        k, for a conditional density p(x | c): every conditioner sees the k values of c, see `NormalizingFlow.given`.

    Returns
    -------
    NormalizingFlow

    Raises
    ------
    ValueError
        For a size below 1, a negative context, or an unknown activation, dtype or transformer.

    References
    ----------
    Lecture 2, "Gaussian autoregressive NF". Papamakarios, Pavlakou, Murray 2017.

    Examples
    --------
    >>> maf(dim=2, steps=5, rng=0).sample(3, rng=0).shape
    (3, 2)
    """
    return _autoregressive_stack(lambda layer: layer, dim, steps, hidden, activation, rng, dtype, transformer, context)


def iaf(dim, steps=5, hidden=(64, 64), activation="relu", rng=None, dtype=np.float64, transformer="affine",
        context=0):
    """An inverse autoregressive flow: `maf` with every layer read backwards, fast to sample and slow to score.

    Parameters and result are those of `maf`. Each layer is ``Inverse(GaussianAutoregressive(...))``: its mu and sigma
    are functions of the noise, one pass gives a sample, and the density of a given x takes m steps, one after another.

    References
    ----------
    Kingma et al.: Improving Variational Inference with Inverse Autoregressive Flow, 2016.

    Examples
    --------
    >>> iaf(dim=3, steps=1, rng=0).flow.passes, maf(dim=3, steps=1, rng=0).flow.passes
    ((3, 1), (1, 3))
    """
    return _autoregressive_stack(Inverse, dim, steps, hidden, activation, rng, dtype, transformer, context)


def _autoregressive_stack(turn, dim, steps, hidden, activation, rng, dtype, transformer, context):
    rng, flows = as_rng(rng), []
    given = None if transformer == "affine" else transformer     # what a layer has anyway need not be saved
    for k in range(as_count(steps, "steps", minimum=1)):
        if k:
            flows.append(Permutation.reversing(dim, dtype))
        flows.append(turn(GaussianAutoregressive(dim, hidden, activation, rng=rng, dtype=dtype, transformer=given,
                                                 context=context)))
    return NormalizingFlow(Composition(flows))


def realnvp(dim, steps=8, hidden=(64, 64), activation="relu", rng=None, dtype=np.float64, transformer="affine",
            context=0):
    """RealNVP on vectors: `steps` affine coupling layers whose halves swap roles from layer to layer.

    Parameters and result are those of `maf`. With dim = 1 every layer is an elementwise affine map.

    References
    ----------
    Lecture 2, "RealNVP". Dinh, Sohl-Dickstein, Bengio 2017.

    Examples
    --------
    >>> [flow.swap for flow in realnvp(dim=2, steps=3, rng=0).flow.flows]
    [False, True, False]
    """
    rng = as_rng(rng)
    return NormalizingFlow(Composition([
        Coupling(dim, hidden, activation, swap=k % 2 == 1, rng=rng, dtype=dtype,
                 transformer=None if transformer == "affine" else transformer, context=context)
        for k in range(as_count(steps, "steps", minimum=1))]))


def linear(dim, kind="plu", rng=None, dtype=np.float64):
    """A linear flow z = W x + b as a model: with its standard-normal base it is a Gaussian.

    Parameters
    ----------
    dim : int
        m.
    kind : {"plu", "qr", "dense", "triangular", "diagonal"}
        How W is parametrized: see `nfnumpy.flows.linear.linear_flow`.
    rng : None, int or Generator
        For the random rotation at which dense, plu and qr start.
    dtype : numpy dtype

    Returns
    -------
    NormalizingFlow

    Raises
    ------
    ValueError
        For another kind, or dim below 1.

    References
    ----------
    Lecture 2, "Linear normalizing flows".

    Examples
    --------
    >>> linear(dim=3, kind="qr", rng=0).flow
    QR(dim=3, sign=1)
    """
    return NormalizingFlow(linear_flow(dim, kind, rng, dtype))


def continuous(dim, hidden=(64, 64), activation="tanh", rtol=1e-5, atol=1e-5, rng=None, dtype=np.float64):
    """A continuous-time flow: one velocity field in place of layers, at tolerances that suit training.

    Parameters and errors are those of `ContinuousFlow`, whose own tolerances are tighter.

    Returns
    -------
    NormalizingFlow

    References
    ----------
    Chen, Rubanova, Bettencourt, Duvenaud: Neural Ordinary Differential Equations, 2018. Grathwohl et al.: FFJORD, 2019.

    Examples
    --------
    >>> continuous(dim=2, hidden=(8,), rng=0).sample(3, rng=0).shape
    (3, 2)
    """
    return NormalizingFlow(ContinuousFlow(dim, hidden, activation, rtol, atol, rng, dtype))
