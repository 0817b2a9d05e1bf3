"""Widgets, one a file. They show what they are told and know neither disk nor clock."""
