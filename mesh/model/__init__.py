"""Nouns that both planes share: frozen dataclasses, no I/O, no protobuf, no policy.

They follow Envoy's resources (listener, route configuration, cluster, load assignment) with Envoy's names, cut down to what this
mesh speaks. Policies hang on routes as a tuple of values whose classes live in ``mesh.policy``: the nouns do not know them.
"""
