"""Scenarios: each folder is a lesson to read (README.md), configuration to apply (config/) and a test that proves it.

They speak to the lab only. Order, titles and minutes are in ``lessons.toml``. Run one with ``seatrial run canary`` or
``pytest scenarios -k canary``.
"""
