"""How the pocket face detector is trained: data, training, figures."""
