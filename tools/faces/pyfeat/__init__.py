"""Py-Feat as a face tool."""
