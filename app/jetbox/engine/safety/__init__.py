"""Permissions, sandbox, secrets, and text that is safe for a terminal."""
