"""Batch annotation: thousands to millions of pictures and clips, resumable, on one machine or many.

`annotate` is a run from its call to its end, `store` keeps its directory, `local_engine` and
`ray_engine` do the work, `progress` and `summary` tell of it.
"""
