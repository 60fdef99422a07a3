"""Pods: one list and one watch for all of ours in a namespace."""
