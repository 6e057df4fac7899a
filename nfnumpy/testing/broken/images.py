"""Bugs of the flows on images: 1x1 convolution, activation normalization, masked and emerging convolutions,
checkerboards.
"""
import numpy as np

from nfnumpy.flow import Flow
from nfnumpy.flows import ActNorm, Conv1x1, EmergingConv, ImageCoupling, MaskedConv
from nfnumpy.flows.emerging import convolve, turn
from nfnumpy.flows.linear_map import sum_batch
from nfnumpy.flows.partitions import Checkerboard
from nfnumpy.nets.resnet import glow_net
from nfnumpy.testing.broken.exhibit import exhibit, rows, twin
from nfnumpy.testing.dependence import convolution_pattern


def conv1x1(rng):
    """A 1x1 convolution on images of six pixels."""
    return Conv1x1((2, 3, 2), "dense", rng=rng)


@exhibit("1x1 convolution", conv1x1, "check_log_det", "that is 1 / (height * width); does every pixel count?")
class OncePerImage(Conv1x1):
    """log abs det W is added once, and not once for each pixel (jaywalnut310/glow-tts issue 17).

    The same mistake in both directions: they agree with each other, and the round trip is perfect.
    """

    def _on_pixels(self, transform_vjp, x):
        (z, log_det), vjp = super()._on_pixels(transform_vjp, x)
        return (z, log_det / (x.shape[1] * x.shape[2])), vjp


@exhibit("1x1 convolution", lambda rng: Conv1x1((2, 2, 3), "plu", rng=rng), "check_log_det",
         "that is the number of channels")
class TimesChannels(Conv1x1):
    """height * width * channels * log abs det W: W knows of its channels already."""

    def _on_pixels(self, transform_vjp, x):
        (z, log_det), vjp = super()._on_pixels(transform_vjp, x)
        return (z, log_det * x.shape[3]), vjp


@exhibit("1x1 convolution", conv1x1, "check_vjp", "gradient of theta through log_det")
class GradientOncePerImage(Conv1x1):
    """log_det counts every pixel; its gradient, height * width * W^-T, counts one."""

    def _on_pixels(self, transform_vjp, x):
        outputs, vjp = super()._on_pixels(transform_vjp, x)
        pixels = x.shape[1] * x.shape[2]
        return outputs, lambda grad_z, grad_log_det, out=None: vjp(grad_z, grad_log_det / pixels, out)


@exhibit("1x1 convolution", conv1x1, "check_shapes", "one number for the whole batch")
class OneNumber(Conv1x1):
    """log_det is a scalar, "the same for all samples anyway": it broadcasts, until a composition sums it over rows."""

    def _on_pixels(self, transform_vjp, x):
        (z, log_det), vjp = super()._on_pixels(transform_vjp, x)
        return (z, log_det[0]), vjp


def actnorm(rng):
    """An activation normalization on images of six pixels."""
    return ActNorm((2, 3, 2))


def shifted_rows(flow, rng):
    """Twenty images whose two channels have means and scales of their own."""
    return (rows(flow, rng, 20) * [2.0, 0.5] + [3.0, -1.0],)


@exhibit("activation normalization", actnorm, "check_initialize", "The mean is twice that of x", shifted_rows)
class MeanOfWrongSign(ActNorm):
    """The bias is initialised with + mean, where z = (x + bias) / sigma wants - mean (pclucas14/pytorch-glow pull
    request 1).
    """

    def initialize(self, x):
        super().initialize(x)
        self.mu = -self.mu
        return self.forward(x)[0]


@exhibit("activation normalization", actnorm, "check_initialize", "Were the statistics taken over the wrong axes?",
         shifted_rows)
class VarianceOverWrongAxes(ActNorm):
    """The variance is taken over the batch and all channels (pclucas14/pytorch-glow pull request 1)."""

    def initialize(self, x):
        super().initialize(x)
        self.log_sigma = np.log((x - self.mu).std(axis=(0, 1, 2, 3)))                 # should be axis=(0, 1, 2)
        return self.forward(x)[0]


@exhibit("activation normalization", actnorm, "check_initialize", "was it divided by the variance, not by its root?",
         shifted_rows)
class DividesByTheVariance(ActNorm):
    """log_sigma is the logarithm of the variance: half of it is missing, or it is there twice."""

    def initialize(self, x):
        super().initialize(x)
        self.log_sigma = 2 * self.log_sigma
        return self.forward(x)[0]


@exhibit("activation normalization", actnorm, "check_pure", "parameters change in `initialize` and in training only")
class InitializesInForward(ActNorm):
    """The first forward pass initialises, whatever comes first: the validation batch, one row, or a picture for the
    report.
    """

    def forward(self, x):
        self.initialize(x)
        return super().forward_vjp(x)[0]

    def initialize(self, x):
        self.mu, self.log_sigma = x.mean(axis=(0, 1, 2)), np.log(x.std(axis=(0, 1, 2)))


@exhibit("activation normalization", actnorm, "check_log_det", "that is 1 / (height * width)")
class NoPixels(ActNorm):
    """- sum log_sigma, once for an image."""

    def forward_vjp(self, x):
        (z, log_det), vjp = super().forward_vjp(x)
        return (z, log_det / self.pixels), vjp


def masked(rng):
    """A masked convolution on images of nine pixels."""
    return MaskedConv((3, 3, 1), 3, rng=rng)


@exhibit("masked convolution", masked, "check_dependence", "but must be 0: output",
         lambda flow, rng: (convolution_pattern(flow.x_shape, 3),))
class WrapsAround(MaskedConv):
    """np.roll for a shift: what leaves the image on the right comes back on the left, where it is earlier than its
    source.
    """

    def forward(self, x):
        taps = [(a, b) for a in range(self.reach + 1) for b in range(self.reach + 1)]
        y = sum(np.roll(x, tap, axis=(1, 2)) @ self.K[tap].T for tap in taps)
        return y + self.b, np.full(len(x), self.log_abs_det, y.dtype)


@exhibit("masked convolution", masked, "check_log_det", "that is 1 / (height * width)")
class CentreOnce(MaskedConv):
    """The sum of log_diagonal without the factor height * width: J_f has the diagonal of C at every pixel."""

    @property
    def log_abs_det(self):
        return self.log_diagonal.sum()


@exhibit("masked convolution", lambda rng: MaskedConv((3, 3, 2), 3, rng=rng), "check_vjp",
         "gradient of its input through output")
class KernelNotTransposed(MaskedConv):
    """The gradient goes back through K in place of the K_ab^T: the same for one channel."""

    def forward_vjp(self, x):
        outputs, right = super().forward_vjp(x)

        def vjp(grad_z, grad_log_det, out=None):
            _, grad_theta = right(grad_z, grad_log_det, out)
            return turn(convolve(self.K, turn(grad_z))), grad_theta

        return outputs, vjp


@exhibit("masked convolution", masked, "check_vjp", "The gradient is wrong for taps")
class GradientAtTheSamePixel(MaskedConv):
    """grad_K_ab takes x at the pixel itself, in place of the pixel that the tap looks at."""

    def forward_vjp(self, x):
        outputs, _ = super().forward_vjp(x)

        def vjp(grad_z, grad_log_det, out=None):
            grad_theta, grad = self.gradient(out)
            grad["b"][...] = grad_z.sum(axis=(0, 1, 2))
            same = np.broadcast_to(np.einsum("nijc,nijd->cd", grad_z, x), self.K.shape)
            self._write(grad, same, self.K, sum_batch(grad_log_det, x))
            return super(GradientAtTheSamePixel, self).forward_vjp(x)[1](grad_z, grad_log_det)[0], grad_theta

        return outputs, vjp


def same_direction(correct):
    """The same two masked convolutions, neither of them reversed."""
    broken = twin(correct, TwoOfTheSame)
    for flow in broken.flows:
        flow.reverse = False
    return broken


@exhibit("emerging convolution", lambda rng: EmergingConv((3, 3, 1), 3, rng=rng), "check_dependence",
         "is cut off from input", lambda flow, rng: (convolution_pattern(flow.x_shape, 3, both=True),
                                                       np.ones((9, 9), bool)), same_direction)
class TwoOfTheSame(EmergingConv):
    """Both masked convolutions look up and to the left: a valid flow, of pixels that never see what is below them."""


def emerging(rng):
    """An emerging convolution on images of six pixels."""
    return EmergingConv((2, 3, 2), 3, rng=rng)


@exhibit("emerging convolution", emerging, "check_log_det", "check_log_det: forward")
class FirstFactorOnly(EmergingConv):
    """The log-determinant of one of the two factors."""

    def forward(self, x):
        z, _ = super().forward(x)
        return z, self.flows[0].forward(x)[1]


@exhibit("emerging convolution", emerging, "check_invertible", "inverse(forward(.))")
class OneFactorUndone(EmergingConv):
    """The inverse undoes the second factor twice, in place of the second and the first."""

    def inverse(self, z):
        x, log_det = self.flows[1].inverse(z)
        x, log_det_2 = self.flows[1].inverse(x)
        return x, log_det + log_det_2


def checkerboard(rng):
    """A checkerboard coupling on images of six pixels."""
    return ImageCoupling((2, 3, 1), lambda c_in, c_out: glow_net(c_in, c_out, 3, "tanh", rng))


def with_board(cls):
    """The same coupling layer on a broken board."""
    def build(correct):
        broken = twin(correct, type(correct))
        broken.partition.__class__ = cls
        return broken

    return build


class SeesTheWholeImage(Checkerboard):
    """See `NetSeesTheWholeImage`."""

    def split(self, x):
        return x, super().split(x)[1]


@exhibit("checkerboard", checkerboard, "check_invertible", "expected", broken=with_board(SeesTheWholeImage))
class NetSeesTheWholeImage(Flow):
    """The network sees x, and not mask * x: white pixels set their own mu and sigma."""


class RestrictsNothing(Checkerboard):
    """See `ScalesWhatStays`."""

    def restrict(self, params):
        return params


@exhibit("checkerboard", checkerboard, "check_log_det", "check_log_det: forward", broken=with_board(RestrictsNothing))
class ScalesWhatStays(Flow):
    """log_sigma is not masked: z is right, since the black pixels are copied over, and log_det counts their
    log_sigma.
    """


class JoinsTheOtherWay(Checkerboard):
    """See `MaskForOneMinusMask`."""

    def join(self, x1, x2):
        return super().join(x2, x1)


@exhibit("checkerboard", checkerboard, "check_invertible", "expected", broken=with_board(JoinsTheOtherWay))
class MaskForOneMinusMask(Flow):
    """`mask` for `1 - mask` where the two halves are put together: both are zero there, and the image is gone."""
