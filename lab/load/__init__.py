"""Load: locust in a process of its own, measured in microseconds.

``run`` starts the worker and reads what it says; ``worker`` is the only module that imports locust (whose import patches sockets,
so it must never happen here); ``histogram`` keeps the latencies; ``model`` is what both sides speak: a ``LoadSpec`` in, a
``LoadResult`` out, as JSON lines.
"""
