"""Context as data: coding schemes, coded variables, and the way back from face to context."""
