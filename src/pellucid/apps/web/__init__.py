"""What the servers of all web pages share: the application's shell, messages, listening."""
