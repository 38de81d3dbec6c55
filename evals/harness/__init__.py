"""Evaluating systems on a task: samples, systems and baselines, runs, scores, pages.

`samples` lays out what is read, `systems` says which runs serve which systems, `evaluate` does the
work on top of `kuleshov.runs`, `scores` and `compare` count, `report` shows;
`api.run` is all of it in one call.
"""
