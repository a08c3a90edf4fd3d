"""Galley: Istio's YAML in, and who may change it.

``parse`` reads YAML with the place of every word, ``models`` are the kinds' shapes and ``rules`` what must hold between fields, ``load``
brings them together; ``diagnostics`` is how all that is wrong is told. ``analyze`` looks at references. ``store`` keeps what is good, in
versions, and ``config`` is the view of it that pilot translates. ``api`` is the door: HTTP, in Kubernetes' shapes where it has one.
"""
