"""Evaluation: data-set readers, metrics, protocols, benchmarks."""
