"""The logs of pods: each container's followed by a connection of its own, or read in turns where there are too many."""
