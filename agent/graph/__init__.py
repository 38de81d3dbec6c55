"""The graph: open, see, gather, judge, ground, weigh, finish."""
