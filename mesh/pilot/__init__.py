"""Pilot: who is where (``registry``), configuration into Envoy's resources (``translate``), checked (``snapshot``), sent (``ads``)."""
