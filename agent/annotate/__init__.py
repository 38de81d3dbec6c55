"""Batch annotation: thousands to millions of pictures and clips, resumable, on one machine or many.

`items` reads data sets, `store` keeps a run directory, `engine` and `ray_engine` do the work,
`progress`, `summary` and `index_page` tell of it, `people` compares it with human labels.
"""
