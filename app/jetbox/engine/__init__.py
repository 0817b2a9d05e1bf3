"""The loop and all that it drives. Imports neither Textual nor Rich."""
