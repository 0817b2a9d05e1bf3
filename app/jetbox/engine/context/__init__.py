"""The prompt: history, parts, budget."""
