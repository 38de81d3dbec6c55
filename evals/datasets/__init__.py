"""Data sets as people publish them: layout, official split and protocol, published results.

`base` holds the task, `registry` every task by name; one file a data set reads the user's own copy
from a folder. Nothing is shipped or downloaded.
"""
