"""Data to learn from: toy densities, the real data that the package ships, and tables that a user brings.

>>> train, test = load("faithful", rng=0)
>>> train.shape, test.shape
((218, 2), (54, 2))
"""
from nfnumpy.datasets.idx import read_idx
from nfnumpy.datasets.images import dequantize, digits
from nfnumpy.datasets.named import NAMES, load, table
from nfnumpy.datasets.tables import Table, check_trainable, read

__all__ = ["NAMES", "Table", "check_trainable", "dequantize", "digits", "load", "read", "read_idx", "table"]
