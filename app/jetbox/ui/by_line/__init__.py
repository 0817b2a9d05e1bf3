"""A session line by line, only ever added to: for screen readers, and for terminals that cannot move a cursor."""
