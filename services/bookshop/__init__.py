"""The bookshop: four services that together show one page about one book.

``productpage`` asks ``details`` and ``reviews``; ``reviews`` (v2 in black, v3 in red) asks ``ratings``. They answer as Istio's Bookinfo
does, on the same port and paths, so its configuration applies here as it is. None of them knows of a mesh: all they do for it is
to pass headers on (``propagation``).
"""
