"""`kuleshov chat`: a session in the terminal, typed or piped, remembered unless private."""
