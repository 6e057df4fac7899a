"""Property checks for anyone's flow, and the zoo of every flow that the package has.

>>> import nfnumpy as nf
>>> flow, x = nf.testing.zoo(rng=0)["coupling"]
>>> errors = nf.testing.check_flow(flow, x)
>>> errors["check_invertible"] < 1e-9
True
"""
from nfnumpy.testing.checks import (check_batching, check_dtype, check_flow, check_invertible, check_log_det, check_pure,
                                    check_shapes, check_theta, check_vjp)
from nfnumpy.testing.derivatives import directional_derivative, jacobian
from nfnumpy.testing.zoo import randomize, zoo

__all__ = ["check_batching", "check_dtype", "check_flow", "check_invertible", "check_log_det", "check_pure", "check_shapes",
           "check_theta", "check_vjp", "directional_derivative", "jacobian", "randomize", "zoo"]
