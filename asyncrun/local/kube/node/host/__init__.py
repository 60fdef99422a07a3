"""
What runs outside of the server's process: a small process that forks a supervisor per container.

It imports the standard library only and is started by its path (``node/processes.py``), so that it begins within some
milliseconds and a fork of it costs less than one: fifty pods at once are no burden. Its modules import each other
relatively, since they are a top-level package there.
"""
