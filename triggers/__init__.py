"""
What runs inside the triggerer, imported as ``asyncrun.triggers``.

The folder stands at the top of the repository and is reached through the symlink ``asyncrun/triggers``. A second
copy of it, imported under another name, would have a registry of shared watchers of its own: twice the API calls,
and kills that reach the wrong copy. So any other name is refused.
"""

from __future__ import annotations

if __name__ != "asyncrun.triggers":
    raise ImportError(f"import asyncrun.triggers, not {__name__!r}: a second copy would have its own shared watchers")
