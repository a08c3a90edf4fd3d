"""The mesh: a control plane and a data plane that meet on the wire only, as Envoy xDS v3.

Read the rooms in this order: ``model`` (the nouns), ``policy`` (the decisions), ``xds`` (the wire), ``galley`` (Istio YAML in),
``pilot`` (YAML and registry to xDS), ``control`` (the control-plane process), ``sidecar`` (the data plane), ``agent`` (what
stands beside a data plane: bootstrap, capture, probe). Nothing here knows of the lab.
"""
