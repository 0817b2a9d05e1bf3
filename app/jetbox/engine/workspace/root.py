"""The workspace as a boundary: every path of a tool goes through here."""
