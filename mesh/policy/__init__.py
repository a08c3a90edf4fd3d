"""One file a feature: its parameters, their validation, and a pure ``decide()`` (or ``pick``, ``match``).

No I/O, no clock, no dice of its own: time and chance come in as arguments. What a policy decides, the filter of the same name in
``mesh.sidecar.filters`` does.
"""
