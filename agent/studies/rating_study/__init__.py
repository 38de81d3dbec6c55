"""A study in which people rate faces, contexts and both together: made, stored and read."""
