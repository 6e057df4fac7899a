"""Conditioner networks with hand-written vjps: ``out, vjp = net.vjp(h)`` and ``grad_h, grad_theta = vjp(grad_out)``."""
from nfnumpy.nets.made import MADE
from nfnumpy.nets.mlp import MLP

__all__ = ["MADE", "MLP"]
