"""Pure translation: Istio's configuration and the registry into the listeners, routes, clusters and endpoints of one proxy."""
