"""Shared watchers: one per API server or cluster, many subscribers."""
