"""The flows of the lecture, one idea a file: `nfnumpy.flow.Flow` is the contract that each of them keeps."""
from nfnumpy.flows.autoregressive import GaussianAutoregressive
from nfnumpy.flows.coupling import Coupling
from nfnumpy.flows.elementwise import Standardize
from nfnumpy.flows.permutation import Permutation
from nfnumpy.flows.transformers import Affine

__all__ = ["Affine", "Coupling", "GaussianAutoregressive", "Permutation", "Standardize"]
