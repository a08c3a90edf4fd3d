"""The data plane: one process beside one workload, speaking Envoy's xDS upwards and HTTP on both sides.

A connection enters at ``server`` (accept, original destination, filter chain), is cut into requests by ``wire``, travels down one of
the two literal lists in ``chain``, and leaves by ``upstream`` (pools). ``state`` is the configuration, swapped whole; ``xds_client``
brings it; ``admin`` shows it. A feature is one file in ``filters``; what it decides stands in ``mesh.policy`` under the same name.
"""
