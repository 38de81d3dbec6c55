"""The same face over time: tracks, and what they show."""
