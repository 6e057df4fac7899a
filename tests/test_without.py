"""The table of fast paths: each can be undone, and undoing it changes nothing but the time."""
from unittest import mock

import numpy as np
import pytest

import nfnumpy as nf
from nfnumpy.rows import RowsInThreads
from tests.benchmarks import without
from tests.test_threads import blas_threads

SMALL = {"tall_maf": lambda: (nf.maf(2, steps=2, hidden=(5, 5), rng=0, dtype=np.float32), 8),
         "small_maf": lambda: (nf.maf(2, steps=2, hidden=(5, 5), rng=0, dtype=np.float32), 4),
         "maf": lambda: (nf.maf(7, steps=2, hidden=(130, 130), rng=0, dtype=np.float32), 20),
         "realnvp": lambda: (nf.realnvp_image((10, 12, 1), couplings=1, blocks=1, width=8, rng=0, dtype=np.float32), 6),
         "glow": lambda: (nf.glow((8, 8, 1), levels=2, steps=1, width=8, rng=0, dtype=np.float32), 6)}


@pytest.mark.parametrize("name", without.FAST_PATHS)
def test_a_fast_path_undone_gives_the_same_gradient(name, monkeypatch):
    monkeypatch.setattr("nfnumpy.nets.masked.BLOCK", 32)         # small models, and pieces that are smaller still
    monkeypatch.setattr("nfnumpy.nets.resnet.CHUNK", 8 * 200)
    monkeypatch.setattr("nfnumpy.rows.PART", 8)
    if name == "rows in threads":
        monkeypatch.setattr("nfnumpy.model.SMALL", 0)
    builds, undone = without.FAST_PATHS[name]
    with blas_threads(2), mock.patch("nfnumpy.model.RowsInThreads", wraps=RowsInThreads) as rows:
        for build in builds:
            fast, slow, difference = without.compare(SMALL[build.__name__], undone, seconds=0, rounds=1)
            assert fast > 0 and slow > 0 and difference < 1e-4
    assert rows.called or name != "rows in threads"


def test_it_prints_the_table(capsys, monkeypatch):
    monkeypatch.setattr(without, "FAST_PATHS", {"masked products in blocks": ([SMALL["maf"]], without.FAST_PATHS[
        "masked products in blocks"][1])})
    without.main(["--seconds", "0", "--rounds", "1"])
    header, _, line = capsys.readouterr().out.splitlines()
    assert header.count("|") == line.count("|") == 7 and "masked products in blocks" in line
