"""Metrics: from libraries where they have them; with intervals, and what could not be counted.

`registry` names them all, `base.figure` computes one with its interval, `base.difference` compares
two systems; `classes` has the tables (per class, confusion, reliability).
"""
