"""Evidence: record in, record out. No pictures, no templates, no graph."""
