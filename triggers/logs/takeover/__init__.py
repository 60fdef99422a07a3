"""
``log_takeover = continue``: a trigger that takes over writes only what the earlier files of its attempt do not hold.

- ``place``: where those files are, without the database
- ``files``: their records, streamed in a thread
- ``past``: what they hold, kept small
- ``taking_over``: the way from the one to the other, which ends in replay wherever anything is not as expected
"""
