"""A session about one picture or clip: read it, ask about it, judge it again under a what-if.

The chat and the web page are two faces of this.
"""
