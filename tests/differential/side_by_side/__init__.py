"""A real Envoy and our sidecar with the same resources, asked the same bytes."""
