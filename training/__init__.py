"""How the pocket weights were made, end to end. Not installed."""
