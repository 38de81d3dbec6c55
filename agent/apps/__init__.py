"""What a user starts: the command line, the chat, the web page."""
