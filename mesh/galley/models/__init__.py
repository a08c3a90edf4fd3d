"""The kinds this mesh acts on, field by field as Istio and Kubernetes have them.

Here is the shape only: names, types, ranges, one-ofs. What must hold between fields is in ``mesh.galley.rules``.
"""
