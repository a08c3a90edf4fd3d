"""Ordinary applications that know nothing of the mesh: the bookshop, echo, a traffic client."""
