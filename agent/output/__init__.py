"""What is shown and written: cards, pages, plots, exports."""
