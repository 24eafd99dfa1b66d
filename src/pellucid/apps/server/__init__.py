"""The server for programs: the images API that others speak, and every mode by one request."""
