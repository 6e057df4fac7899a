"""Property checks for anyone's flow, and the zoo of every flow that the package has.

>>> import nfnumpy as nf
>>> flow, x = nf.testing.zoo(rng=0)["coupling"]
>>> errors = nf.testing.check_flow(flow, x)
>>> errors["check_invertible"] < 1e-9
True

Two rooms are opened when they are entered: ``nf.testing.broken``, the hall of broken flows, and
``nf.testing.strategies``, which needs Hypothesis.
"""
import importlib

from nfnumpy.testing.checks import (CHECKS, Report, check_batching, check_dtype, check_flow, check_invertible,
                                    check_log_det, check_pure, check_shapes, check_theta, check_vjp)
from nfnumpy.testing.claims import check_extremes, check_initialize
from nfnumpy.testing.common import NotApplicable
from nfnumpy.testing.contexts import check_given
from nfnumpy.testing.counterexamples import Counterexample, counterexample
from nfnumpy.testing.densities import check_density, check_samples
from nfnumpy.testing.dependence import autoregressive_pattern, check_dependence, convolution_pattern, coupling_pattern
from nfnumpy.testing.derivatives import directional_derivative, jacobian
from nfnumpy.testing.gradients import check_loss
from nfnumpy.testing.grey_values import check_bits, check_dequantize
from nfnumpy.testing.zoo import randomize, zoo

__all__ = ["CHECKS", "Counterexample", "NotApplicable", "Report", "autoregressive_pattern", "broken", "check_batching",
           "check_bits", "check_density", "check_dependence", "check_dequantize", "check_dtype", "check_extremes",
           "check_flow", "check_given", "check_initialize", "check_invertible", "check_log_det", "check_loss", "check_pure",
           "check_samples", "check_shapes", "check_theta", "check_vjp", "convolution_pattern", "counterexample",
           "coupling_pattern", "directional_derivative", "jacobian", "randomize", "strategies", "zoo"]


def __getattr__(name):
    if name in ("broken", "strategies"):
        return importlib.import_module(f"nfnumpy.testing.{name}")
    raise AttributeError(f"module 'nfnumpy.testing' has no attribute {name!r}")
