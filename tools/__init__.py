"""Toolbox and model adapters, and the types that perception yields."""
