"""The flows of the lecture, one idea a file: `nfnumpy.flow.Flow` is the contract that each of them keeps."""
from nfnumpy.flows.actnorm import ActNorm
from nfnumpy.flows.autoregressive import GaussianAutoregressive
from nfnumpy.flows.conditional import ConditionalFlow, one_hot
from nfnumpy.flows.continuous import ContinuousFlow
from nfnumpy.flows.conv1x1 import Conv1x1
from nfnumpy.flows.coupling import Coupling
from nfnumpy.flows.dense import Dense
from nfnumpy.flows.elementwise import Diagonal, Standardize
from nfnumpy.flows.emerging import EmergingConv, MaskedConv
from nfnumpy.flows.image_coupling import ImageCoupling
from nfnumpy.flows.logit import Logit
from nfnumpy.flows.mixture import MixtureOfLogistics
from nfnumpy.flows.multiscale import MultiScale
from nfnumpy.flows.permutation import Permutation
from nfnumpy.flows.planar import Planar
from nfnumpy.flows.plu import PLU
from nfnumpy.flows.qr import QR
from nfnumpy.flows.radial import Radial
from nfnumpy.flows.spline import RationalQuadratic
from nfnumpy.flows.squeeze import Squeeze
from nfnumpy.flows.transformers import Additive, Affine, Transformer
from nfnumpy.flows.triangular import Triangular

__all__ = ["ActNorm", "Additive", "Affine", "ConditionalFlow", "ContinuousFlow", "Conv1x1", "Coupling", "Dense",
           "Diagonal", "EmergingConv", "GaussianAutoregressive", "ImageCoupling", "Logit", "MaskedConv",
           "MixtureOfLogistics", "MultiScale", "PLU", "Permutation", "Planar", "QR", "Radial", "RationalQuadratic",
           "Squeeze", "Standardize", "Transformer", "Triangular", "one_hot"]
