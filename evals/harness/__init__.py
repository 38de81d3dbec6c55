"""Evaluating systems on a task: samples, systems and baselines, runs, scores, pages.

`samples` lays out what is read, `systems` says which runs serve which systems, `evaluate` does the
work on top of `kuleshov.annotate`, `scores` and `compare` count, `page` and `tables` show;
`api.run` is all of it in one call.
"""
