"""Convolutional conditioners: the networks inside the coupling layers of Glow and of RealNVP for images."""
import math

import numpy as np

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.nets.activations import by_name
from nfnumpy.nets.cnn import Conv2d
from nfnumpy.parametrized import Parametrized
from nfnumpy.threads import share_out, usual_threads

# Numbers of one activation in a chunk of images, so that a network's layers stay in the processor's cache, and chunks whose
# activations are kept.
CHUNK, KEPT = 200_704, 8
# Into how many parts a chunk may be cut, if there are threads for them.
PARTS = 2


class Sequential(Parametrized):
    """Layers one after another: out = l_K(... l_1(h)); strings stand for activations.

    Parameters
    ----------
    layers : list
        Each a part with ``out, vjp = layer.vjp(h)``, or the name of an activation.

    Examples
    --------
    >>> net = Sequential([Conv2d(1, 4, 3, rng=0), "relu", Conv2d(4, 2, 3, rng=0)])
    >>> out, vjp = net.vjp(np.ones((5, 8, 6, 1)))
    >>> out.shape
    (5, 8, 6, 2)
    """

    def __init__(self, layers):
        for layer in layers:
            if not isinstance(layer, Parametrized):
                by_name(layer)                                   # refuses what is no activation
        self.layers = [layer if isinstance(layer, str) else str(k) for k, layer in enumerate(layers)]
        super().__init__(children={str(k): layer for k, layer in enumerate(layers) if not isinstance(layer, str)})

    def vjp(self, h):
        """``out, vjp`` with ``vjp(grad_out, out=None) -> grad_h, grad_theta``."""
        vjps, fresh = [], False
        for name in self.layers:
            if name in self.__dict__:
                h, layer_vjp = self.__dict__[name].vjp(h)
            else:
                h, layer_vjp = by_name(name)(h, out=h if fresh else None)
            fresh = getattr(self.__dict__.get(name), "forgets_output", False)    # nobody needs h but what comes next
            vjps.append(layer_vjp)

        def vjp(grad_h, out=None):
            grad_theta, parts = self.gradient(out)
            for name, layer_vjp in zip(reversed(self.layers), reversed(vjps)):
                if name in parts:                                # dL/dh_{k-1} = (dh_k / dh_{k-1})^T dL/dh_k
                    grad_h, _ = layer_vjp(grad_h, parts[name])
                else:
                    grad_h = layer_vjp(grad_h)
            return grad_h, grad_theta

        return h, vjp

    def config(self):
        return {"layers": [self.__dict__.get(name, name) for name in self.layers]}


class Residual(Parametrized):
    """out = h + branch(h): what a deep network learns is the difference to the identity (He et al. 2016).

    Examples
    --------
    >>> net = Residual(Sequential(["relu", Conv2d(4, 4, 3, rng=0)]))
    >>> net.vjp(np.ones((5, 8, 6, 4)))[0].shape
    (5, 8, 6, 4)
    """

    forgets_output = True                                        # its adjoint does not need it

    def __init__(self, branch):
        super().__init__(children={"branch": branch})

    def vjp(self, h):
        """``out, vjp`` with ``vjp(grad_out, out=None) -> grad_h, grad_theta``."""
        change, branch_vjp = self.branch.vjp(h)

        def vjp(grad_out, out=None):
            grad_h, grad_theta = branch_vjp(grad_out, out)
            return grad_out + grad_h, grad_theta                 # dout/dh = I + d branch / dh

        return h + change, vjp

    def config(self):
        return {"branch": self.branch}


class InChunks(Parametrized):
    """The same network on a few images at a time: activations stay in the processor's cache, threads share the chunks.

    The result is that of the network itself, up to the order in which the gradients of the images are added.

    Parameters
    ----------
    net : Parametrized
    pixels : int
        At most about so many at a time, and at least one image.
    recompute : bool
        Keep the activations of the first `KEPT` chunks only, so that memory is bounded: the backward pass runs the others
        through the network once more.

    Examples
    --------
    >>> net = InChunks(Conv2d(1, 2, 3, rng=0), pixels=64)
    >>> net.vjp(np.ones((5, 8, 6, 1)))[0].shape
    (5, 8, 6, 2)
    """

    shares_out = True

    def __init__(self, net, pixels=3136, recompute=False):
        self.pixels, self.recompute = as_count(pixels, "pixels", minimum=1), bool(recompute)
        super().__init__(children={"net": net})

    def vjp(self, h):
        """``out, vjp`` with ``vjp(grad_out, out=None) -> grad_h, grad_theta``."""
        chunks = self.chunks(*h.shape[:3])
        if len(chunks) == 1:
            return self.net.vjp(h)
        outs, kept = {}, {}                                      # by the number of the chunk

        def forward(share):
            for k in share:
                outs[k], chunk_vjp = self.net.vjp(h[chunks[k]])
                if k < KEPT or not self.recompute:
                    kept[k] = chunk_vjp

        def vjp(grad_out, out=None):
            grads = {}

            def backward(share):
                total = 0
                for k in share:
                    chunk_vjp = kept[k] if k in kept else self.net.vjp(h[chunks[k]])[1]
                    grads[k], part = chunk_vjp(grad_out[chunks[k]])
                    total = total + part                         # dL/dtheta is a sum over samples
                return total

            grad_theta = self.gradient(out)[0]
            grad_theta[...] = sum(share_out(backward, range(len(chunks))))
            return np.concatenate([grads[k] for k in range(len(chunks))]), grad_theta

        share_out(forward, range(len(chunks)))
        return np.concatenate([outs[k] for k in range(len(chunks))]), vjp

    def chunks(self, n, height, width):
        """Slices of the images: of about `pixels` at most, and as many as threads, or a multiple, if not too small."""
        wanted, threads = n * height * width / self.pixels, usual_threads()
        count = threads * math.ceil(wanted / threads) if wanted * PARTS >= threads else math.ceil(wanted)
        count = max(1, min(n, count))
        return [slice(n * k // count, n * (k + 1) // count) for k in range(count)]

    def config(self):
        return {"net": self.net, "pixels": self.pixels, "recompute": self.recompute}


def glow_net(c_in, c_out, width, activation="relu", rng=None, dtype=np.float64):
    """Glow's coupling network: convolutions of 3x3, 1x1 and 3x3, the last one starting at zero.

    Zero at the start makes a new coupling the identity, as in the paper.

    Parameters
    ----------
    c_in, c_out, width : int
        Channels of input, output and in between.
    activation : {"relu", "tanh"}
    rng, dtype
        Initial weights are N(0, 2 / fan_in), so that activations keep their size under ReLU.

    References
    ----------
    Kingma, Dhariwal: Glow: Generative Flow with Invertible 1x1 Convolutions, 2018, section 4.
    """
    rng, width = as_rng(rng), as_count(width, "width", minimum=1)
    return InChunks(Sequential([Conv2d(c_in, width, 3, 2.0, rng, dtype), activation,
                                Conv2d(width, width, 1, 2.0, rng, dtype), activation,
                                Conv2d(width, c_out, 3, 0.0, rng, dtype)]), CHUNK // width, recompute=True)


def residual_net(c_in, c_out, width, blocks, activation="relu", rng=None, dtype=np.float64):
    """RealNVP's coupling network: a 3x3 convolution, residual blocks, an activation, a 3x3 convolution starting at zero.

    A block adds to h convolutions of 1x1, 3x3 and 1x1 with activations between them. Parameters are those of `glow_net`,
    and `blocks`, the number of residual blocks.

    References
    ----------
    Dinh, Sohl-Dickstein, Bengio: Density estimation using Real NVP, 2017; the course's homework on images.
    """
    rng, width = as_rng(rng), as_count(width, "width", minimum=1)

    def block():
        sizes = (1, 2.0), (3, 2.0), (1, 1.0 / max(blocks, 1))    # branches add up: their variances sum to one
        first, second, third = (Conv2d(width, width, size, gain, rng, dtype) for size, gain in sizes)
        return Residual(Sequential([first, activation, second, activation, third]))

    return InChunks(Sequential([Conv2d(c_in, width, 3, 2.0, rng, dtype), activation,
                                *(block() for _ in range(as_count(blocks, "blocks"))), activation,
                                Conv2d(width, c_out, 3, 0.0, rng, dtype)]), CHUNK // width, recompute=True)
