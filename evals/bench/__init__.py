"""Benchmarks: `kuleshov bench NAME`, as ratios within one run."""
