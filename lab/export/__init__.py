"""A topology in the words of other tools."""
