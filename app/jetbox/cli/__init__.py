"""The command line: parses, wires, chooses the exit code; what is not needed to start is imported when it is."""
