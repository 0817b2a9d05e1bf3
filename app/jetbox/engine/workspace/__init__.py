"""The folder that the agent works in, and its boundary."""
