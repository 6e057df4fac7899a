"""RealNVP and Glow on images, real-valued or of whole grey values, and their likelihood in bits per dimension."""
import math

import numpy as np

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.composition import Composition, Inverse
from nfnumpy.datasets import dequantize
from nfnumpy.flows import ActNorm, Conv1x1
from nfnumpy.flows.conv1x1 import as_image_shape
from nfnumpy.flows.image_coupling import ImageCoupling
from nfnumpy.flows.logit import Logit
from nfnumpy.flows.multiscale import MultiScale
from nfnumpy.flows.squeeze import Squeeze
from nfnumpy.model import NormalizingFlow
from nfnumpy.nets.resnet import glow_net, residual_net


class GreyImageFlow(NormalizingFlow):
    """A density on dequantized images, x in [0, grey_levels], that knows its images are whole grey values.

    Images of whole numbers have no density: `prepare` adds uniform noise on [0, 1), afresh for each minibatch of `fit`,
    and `sample` takes it off again. `log_prob` stays a pure function of real-valued x: of whole images it is the density
    at the corners of their cubes, and `bits_per_dim` is what they should be judged by.

    Parameters
    ----------
    flow : Flow
        Without the logit, which is put in front of it.
    grey_levels : int
        K: images hold 0 .. K - 1.
    alpha : float
        Of the `Logit`.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> model = nf.realnvp_image((4, 4, 1), couplings=1, blocks=1, width=4, grey_levels=17, rng=0)
    >>> model.sample(3, rng=0).dtype, model.sample(3, rng=0).shape
    (dtype('int64'), (3, 4, 4, 1))
    """

    def __init__(self, flow, grey_levels, alpha=0.05, info=None):
        self.grey_levels, self.alpha = as_count(grey_levels, "grey_levels", minimum=2), alpha
        super().__init__(Composition([Logit(flow.x_shape, alpha, grey_levels), flow]), info=info)

    def prepare(self, x, rng):
        """Whole grey values 0 .. K - 1, with noise: real values that `log_prob` can be trained on, or a ValueError."""
        x = np.asarray(x)
        if x.size and not (x.min() >= 0 and x.max() < self.grey_levels):
            raise ValueError(f"x: expected grey values 0 to {self.grey_levels - 1}, got {x.min()} to {x.max()}")
        return dequantize(x, rng)

    def sample(self, n, rng=None, temperature=1.0):
        """n images of whole grey values, int64 ``(n, height, width, channels)``."""
        x = super().sample(n, rng, temperature)
        return np.clip(np.floor(x), 0, self.grey_levels - 1).astype(np.int64)

    def standardized(self, x):
        """Refused with a ValueError: the logit in front already brings grey values to the scale of the noise."""
        raise ValueError("x: expected a model of real-valued data to standardise, got one of grey values, which has a "
                         "logit")

    def config(self):
        return {"flow": self.flow.flows[1], "grey_levels": self.grey_levels, "alpha": self.alpha}


def _image_model(flow, grey_levels, alpha):
    return NormalizingFlow(flow) if grey_levels is None else GreyImageFlow(flow, grey_levels, alpha)


def bits_per_dim(model, images, rng):
    """An upper bound on the bits a dimension that an optimal code spends on whole grey values, of each image, ``(n,)``.

    ::

        P(x) = integral over [0, 1)^D of p(x + u) du        the model's probability of the whole-numbered image
        - log2 P(x) / D <= E_u[- log p(x + u)] / (D ln 2)   by Jensen's inequality; estimated with one u an image

    p is a density on grey-level units, x in [0, K]. For a density on [0, 1] the same bound reads
    nats / (D ln 2) + log2 K, since dividing x by K multiplies a density by K^D.

    Parameters
    ----------
    model : NormalizingFlow
        On data in grey-level units, such as those of `glow` and `realnvp_image` with their `grey_levels`.
    images : array of whole numbers ``(n, *model.x_shape)``
    rng : Generator, or an int
        For the noise u; without a default, since each call draws anew.

    Raises
    ------
    ValueError
        For images that are not whole numbers, or of another shape.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> model = nf.glow((4, 4, 1), levels=1, steps=1, width=4, grey_levels=2, rng=0)
    >>> bits_per_dim(model, np.zeros((3, 4, 4, 1), int), rng=0).shape
    (3,)
    """
    dim, prepare = math.prod(model.x_shape), model.prepare if hasattr(model, "grey_levels") else dequantize
    return -model.log_prob(prepare(images, as_rng(rng))) / (dim * math.log(2))


def glow(shape, levels=2, steps=4, width=64, grey_levels=None, alpha=0.05, activation="relu", rng=None,
         dtype=np.float64, context=0):
    """Glow: at each level a squeeze, then `steps` of ActNorm, 1x1 convolution and channelwise coupling.

    After every level but the last, half of the channels leave for the base density.

    Parameters
    ----------
    shape : tuple of int
        ``(height, width, channels)``, height and width divisible by 2^levels.
    levels, steps : int
        Levels, and steps in each.
    width : int
        Channels inside the coupling networks, see `nfnumpy.nets.resnet.glow_net`.
    grey_levels : int, optional
        None for real-valued images. With K the model is a `GreyImageFlow` on images of whole numbers 0 .. K - 1.
    alpha : float
        Of the logit that then stands in front.
    activation : {"relu", "tanh"}
    rng : None, int or Generator
    dtype : numpy dtype
    context : int
        k, for a conditional density p(x | c), of digits given their class for instance: every coupling network sees the
        k values of c as constant channels, see `NormalizingFlow.given`.

    Returns
    -------
    NormalizingFlow

    Raises
    ------
    ValueError
        For sizes below 1, a negative context, or a shape that cannot be squeezed `levels` times.

    References
    ----------
    Lecture 2, "Glow samples". Kingma, Dhariwal: Glow: Generative Flow with Invertible 1x1 Convolutions, 2018.

    Examples
    --------
    >>> model = glow(shape=(8, 8, 1), levels=2, steps=2, width=8, rng=0)
    >>> z = model.flow.forward(np.zeros((3, 8, 8, 1)))[0]
    >>> [piece.shape for piece in model.flow.pieces(z)]
    [(3, 4, 4, 2), (3, 2, 2, 8)]
    """
    rng, shape = as_rng(rng), as_image_shape(shape)
    steps, scales = as_count(steps, "steps", minimum=1), []

    def net(c_in, c_out):
        return glow_net(c_in, c_out, width, activation, rng, dtype)

    for _ in range(as_count(levels, "levels", minimum=1)):
        flows = [Squeeze(shape, dtype=dtype)]
        shape = flows[0].z_shape
        for _ in range(steps):
            flows += [ActNorm(shape, dtype), Conv1x1(shape, "plu", rng, dtype),
                      ImageCoupling(shape, net, "channel", context=context)]
        scales.append(Composition(flows))
        shape = (*shape[:2], shape[2] - shape[2] // 2)           # the rest leaves
    return _image_model(MultiScale(scales), grey_levels, alpha)


def realnvp_image(shape, couplings=4, blocks=2, width=32, grey_levels=None, alpha=0.05, activation="relu", rng=None,
                  dtype=np.float64, context=0):
    """RealNVP on images: checkerboard couplings, channelwise ones on the squeezed image, checkerboard ones again.

    Each coupling is followed by an ActNorm, and the roles of its two parts swap from layer to layer.

    Parameters
    ----------
    shape : tuple of int
        ``(height, width, channels)``, height and width even.
    couplings : int
        Coupling layers in each of the three stages.
    blocks, width : int
        Residual blocks and channels of each network, see `nfnumpy.nets.resnet.residual_net`.
    grey_levels, alpha, activation, rng, dtype, context
        See `glow`.

    Returns
    -------
    NormalizingFlow

    Raises
    ------
    ValueError
        For sizes below 1, a negative context, or an odd height or width.

    References
    ----------
    Lecture 2, "RealNVP", image partitioning. Dinh, Sohl-Dickstein, Bengio: Density estimation using Real NVP, 2017; the
    course's homework.

    Examples
    --------
    >>> model = realnvp_image(shape=(8, 8, 1), couplings=2, blocks=1, width=8, rng=0)
    >>> model.log_prob(np.zeros((3, 8, 8, 1))).shape
    (3,)
    """
    rng, shape = as_rng(rng), as_image_shape(shape)
    couplings = as_count(couplings, "couplings", minimum=1)

    def net(c_in, c_out):
        return residual_net(c_in, c_out, width, blocks, activation, rng, dtype)

    def stage(shape, partition):
        return [flow for k in range(couplings)
                for flow in (ImageCoupling(shape, net, partition, swap=k % 2 == 1, context=context),
                             ActNorm(shape, dtype))]

    squeeze = Squeeze(shape, dtype=dtype)
    flow = Composition([*stage(shape, "checkerboard"), squeeze, *stage(squeeze.z_shape, "channel"),
                        Inverse(Squeeze(shape, dtype=dtype)), *stage(shape, "checkerboard")])
    return _image_model(flow, grey_levels, alpha)
