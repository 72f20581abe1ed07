"""One module at a time, in seconds."""
