"""One file a feature: ``build(scope, context)`` gives the filter of a route, or None where the route does not use it."""
