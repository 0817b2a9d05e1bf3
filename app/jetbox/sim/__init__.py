"""The embedded server: Ollama's protocol played by scripted models, always in a process of its own."""
