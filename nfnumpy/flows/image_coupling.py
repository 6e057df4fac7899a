"""Coupling layers on images: checkerboard and channelwise partitions, convolutional conditioners."""
from nfnumpy.flows.conditional import ConditionalFlow
from nfnumpy.flows.conv1x1 import as_image_shape
from nfnumpy.flows.coupling import Coupling
from nfnumpy.flows.partitions import Checkerboard, Halves

PARTITIONS = ("checkerboard", "channel")


class ImageCoupling(Coupling):
    """The affine coupling layer of RealNVP and Glow on images ``(n, height, width, channels)``.

    The formulas are those of `Coupling`; x_1 and x_2 are the black and the white pixels of a checkerboard (masking), or
    the first and the last channels (splitting), and mu and sigma come from convolutions.

    Parameters
    ----------
    shape : tuple of int
        ``(height, width, channels)``; at least two channels for the channelwise partition.
    net : function
        ``net(c_in, c_out)`` gives the conditioner: a part whose ``vjp`` maps ``(n, height, width, c_in)`` to
        ``(n, height, width, c_out)``, such as `nfnumpy.nets.resnet.glow_net`. Or the conditioner itself.
    partition : {"checkerboard", "channel"}
    swap : bool
        Swap the roles of the two parts.
    transformer : {"affine", "additive", "spline", "mixture"} or Transformer, optional
    context, c
        k, the number of context values, and optionally the context: see `ConditionalFlow`. The network sees them as k
        constant channels in front of those of x_1; c_in counts them.

    Raises
    ------
    ValueError
        For another shape or partition, a single channel to be split, or a context or c that `ConditionalFlow` refuses.

    References
    ----------
    Lecture 2, "RealNVP", image partitioning. Dinh, Sohl-Dickstein, Bengio: Density estimation using Real NVP, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from nfnumpy.nets.resnet import glow_net
    >>> flow = ImageCoupling((3, 5, 1), lambda c_in, c_out: glow_net(c_in, c_out, width=4, rng=0))
    >>> z, log_det = flow.forward(np.ones((2, 3, 5, 1)))
    >>> z.shape, log_det
    ((2, 3, 5, 1), array([-0., -0.]))
    """

    def __init__(self, shape, net, partition="checkerboard", swap=False, transformer=None, context=0, c=None):
        shape = as_image_shape(shape)
        if partition not in PARTITIONS:
            raise ValueError(f"partition: expected one of {', '.join(PARTITIONS)}, got {partition!r}")
        if partition == "channel" and shape[2] < 2:
            raise ValueError(f"shape: expected at least two channels to split, got {shape}; squeeze first")
        self.partition = Checkerboard(shape, swap) if partition == "checkerboard" else Halves(shape[2], swap)

        def build_net(k, n_params):
            return net(k + self.partition.n_conditioning, n_params * self.partition.n_transformed)

        build = build_net if callable(net) else lambda k, n_params: net
        ConditionalFlow.__init__(self, shape, build, transformer, context, c)

    def config(self):
        kind = "checkerboard" if isinstance(self.partition, Checkerboard) else "channel"
        return {"shape": self.x_shape, "net": self.net, "partition": kind, "swap": self.swap,
                **ConditionalFlow.config(self)}
