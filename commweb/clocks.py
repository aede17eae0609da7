"""What is allowed for clocks that are set: a time far in the future was written by one that was
ahead, and nothing waits for it."""

from __future__ import annotations

from datetime import timedelta

__all__ = ["SLACK"]

SLACK = timedelta(seconds=60)
"""How much the clocks of a site's machines may differ."""
