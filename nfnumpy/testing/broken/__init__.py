"""The hall of broken flows: each has one wrong line, the story of the bug, and the check that must catch it.

`hall(rng)` gives ``{name: Exhibit}``: the broken flow, the correct one beside it, the check and what it says. The
stories are the classes' docstrings. Where a report is named, a public library had the bug. Its counterpart is
`passes_everything`: maps that are not the one asked for, and that no property can tell from it.
"""
from nfnumpy.testing.broken import (autoregressive, composed, contexts, continuous, coupling,    # they fill the hall
                                    fixed, grey_values, images, linear, losses, memory, mixtures, multiscale,
                                    planar_radial, splines)
from nfnumpy.testing.broken.exhibit import HALL, Exhibit, hall, twin
from nfnumpy.testing.broken.passes_everything import impostors

__all__ = ["HALL", "Exhibit", "hall", "impostors", "twin"]
