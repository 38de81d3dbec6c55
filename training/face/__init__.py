"""Training and measuring the pocket face net."""
