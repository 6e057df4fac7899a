"""Write the property: tests that tell right flows from wrong ones.

Lecture 2, slides "Jacobian determinant" and "Normalizing flows (NF)". About 40 minutes.

Your tests run on hidden flows, right ones and broken ones. Points are for the broken ones that a test catches; each
right one that it accuses costs some. A flow is an object with two functions, and you cannot look into it:

    z, log_det = flow.forward(x)        x (n, m) to z (n, m), log_det (n,) in nats
    x, log_det = flow.inverse(z)        and back; this log_det is that of the inverse's own Jacobian

Call them at as many inputs as you like. Every x that you are given is a valid batch, and so is every other one, of
any number of rows. Computers round: a right flow's numbers are right to about ten digits. Try your tests with a flow
of your own:

    flow = types.SimpleNamespace(forward=lambda x: (2 * x, np.full(len(x), x.shape[1] * np.log(2))),
                                 inverse=lambda z: (z / 2, np.full(len(z), -z.shape[1] * np.log(2))))
"""
import types

import numpy as np


def round_trip_property(flow, x):
    """Raise AssertionError unless the inverse undoes forward at x. The log_dets are none of its business."""
    raise NotImplementedError


def log_det_property(flow, x):
    """Raise AssertionError unless both log_dets are right: that of forward at x, and that of inverse where x comes out.

    log_det is log abs det of the Jacobian, J[a, b] = dz_a / dx_b of one row: compute J without the flow's log_det, by
    differences of its outputs.
    """
    raise NotImplementedError
