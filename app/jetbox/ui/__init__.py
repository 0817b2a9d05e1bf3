"""The screen: events in, commands out."""
