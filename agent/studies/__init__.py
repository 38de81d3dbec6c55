"""Studies: what several readings, or people's judgements, come to."""
