"""What a file or directory is, and its main facts: a small module for each kind of thing."""
