"""nfnumpy: the normalizing flows of a university lecture, in NumPy, with every gradient derived by hand.

>>> import nfnumpy as nf
>>> model = nf.maf(dim=2, steps=5, rng=0)
>>> model.log_prob(model.sample(3, rng=0)).shape
(3,)
"""
from nfnumpy import callbacks, datasets, energies, targets, testing
from nfnumpy.autoregressive_models import AutoregressiveCNN, AutoregressiveMLP
from nfnumpy.builders import continuous, iaf, linear, maf, realnvp
from nfnumpy.composition import Composition, Inverse
from nfnumpy.distributions import Gaussian, StandardNormal
from nfnumpy.divergences import forward_kl, negative_log_likelihood, reverse_kl
from nfnumpy.estimator import FlowDensity
from nfnumpy.flow import Flow
from nfnumpy.flows import (PLU, QR, ActNorm, Additive, Affine, ContinuousFlow, Conv1x1, Coupling, Dense, Diagonal,
                           EmergingConv, GaussianAutoregressive, MaskedConv, MixtureOfLogistics, Permutation, Planar,
                           Radial, RationalQuadratic, Standardize, Transformer, Triangular, one_hot)
from nfnumpy.history import History, TrainingState
from nfnumpy.image_models import GreyImageFlow, bits_per_dim, glow, realnvp_image
from nfnumpy.model import NormalizingFlow
from nfnumpy.nets import MADE, MLP
from nfnumpy.optimizers import Adam
from nfnumpy.saving import load, save
from nfnumpy.training import fit

__version__ = "0.1.0"
__all__ = ["ActNorm", "Adam", "Additive", "Affine", "AutoregressiveCNN", "AutoregressiveMLP", "Composition",
           "ContinuousFlow", "Conv1x1", "Coupling", "Dense", "Diagonal", "EmergingConv", "Flow", "FlowDensity",
           "Gaussian", "GaussianAutoregressive", "GreyImageFlow", "History", "Inverse", "MADE", "MLP", "MaskedConv",
           "MixtureOfLogistics", "NormalizingFlow", "PLU", "Permutation", "Planar", "QR", "Radial",
           "RationalQuadratic", "StandardNormal", "Standardize", "TrainingState", "Transformer", "Triangular",
           "bits_per_dim", "callbacks", "continuous", "datasets", "energies", "fit", "forward_kl", "glow", "iaf",
           "linear", "load", "maf", "negative_log_likelihood", "one_hot", "realnvp", "realnvp_image", "reverse_kl",
           "save", "targets", "testing"]
