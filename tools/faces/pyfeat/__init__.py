"""Py-Feat as a face tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kuleshov.tools.moved import old_names

if not TYPE_CHECKING:  # names that stood here before
    __getattr__ = old_names(__name__)
