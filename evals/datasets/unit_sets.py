"""Every data set of coded faces by its name."""

from __future__ import annotations

from kuleshov.evals.datasets import bp4d, ckplus, disfa, gft
from kuleshov.evals.datasets.unit_coding import UnitSet
from kuleshov.tools.registry import Registry

UNIT_SETS: Registry[UnitSet] = Registry(
    "data set of coded units",
    {one.name: one for one in (disfa.DISFA, disfa.DISFA_PLUS, bp4d.BP4D, gft.GFT, ckplus.CK_PLUS)},
)
