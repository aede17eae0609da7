"""Boards: a provider of somebody else's, as a package outside commweb would bring it.

It signs its requests with an API key of its own, knows people by numbers and has no power levels.
It imports nothing of commweb but what the guide for providers names.
"""
