"""Py-Feat."""
