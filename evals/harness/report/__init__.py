"""An evaluation as tables, a page and a log."""
