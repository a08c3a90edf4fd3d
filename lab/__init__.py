"""The lab: brings a mesh up on a runtime, hands it configuration and traffic, judges what it sees, and takes everything away again.

It drives the mesh from outside, as a person would: processes by name, configuration by HTTP. It never imports it.
"""
