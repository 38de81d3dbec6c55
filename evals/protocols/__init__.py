"""Experiments on top of an evaluation, one module each; `registry` names them."""
