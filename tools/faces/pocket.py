"""The bundled face detector and face net."""
