"""All that the model is shown and asked, and how its answers are read."""
