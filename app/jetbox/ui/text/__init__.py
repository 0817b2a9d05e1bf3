"""Text in rows: wrapping, markdown, diffs, strips."""
