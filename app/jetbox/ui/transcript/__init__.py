"""What the transcript shows: events become blocks, blocks become rows."""
