"""The command line. Each command parses, calls one stage, and prints; nothing else happens here."""
