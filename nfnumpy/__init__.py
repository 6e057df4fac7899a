"""nfnumpy: the normalizing flows of a university lecture, in NumPy, with every gradient derived by hand.

>>> import nfnumpy as nf
>>> model = nf.maf(dim=2, steps=5, rng=0)
>>> model.log_prob(model.sample(3, rng=0)).shape
(3,)
"""
from nfnumpy import datasets, testing
from nfnumpy.distributions import Gaussian, StandardNormal
from nfnumpy.divergences import forward_kl, negative_log_likelihood, reverse_kl
from nfnumpy.flow import Composition, Flow, Inverse
from nfnumpy.flows import Affine, Coupling, GaussianAutoregressive, Permutation, Standardize
from nfnumpy.model import NormalizingFlow, iaf, maf, realnvp
from nfnumpy.nets import MADE, MLP
from nfnumpy.optimizers import Adam
from nfnumpy.saving import load, save
from nfnumpy.training import History, fit

__version__ = "0.1.0"
__all__ = ["Adam", "Affine", "Composition", "Coupling", "Flow", "Gaussian", "GaussianAutoregressive", "History", "Inverse",
           "MADE", "MLP", "NormalizingFlow", "Permutation", "Standardize", "StandardNormal", "datasets", "fit",
           "forward_kl", "iaf", "load", "maf", "negative_log_likelihood", "realnvp", "reverse_kl", "save", "testing"]
