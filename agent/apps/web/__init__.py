"""`kuleshov serve`: the web page and the HTTP API, in front of one agent.

FastAPI and the project's own templates rather than Gradio, because the page must work with the
network cut, call nobody, and let a cue light up its evidence; it is the report's own view of a
reading, in a browser, with a form above it.
"""
