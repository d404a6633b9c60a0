"""Ruin commands on purpose, at random and by a seed, and see that nothing is lost: ``make soak``.

``kills``   SIGKILL at any moment, then the same command again: it must end as if it had not been killed, to the byte
``disk``    a disk that is full, too small for one file, or read-only: a sentence, nothing half-written, and on it goes
``inputs``  files, run directories and texts that are damaged or hostile: a sentence or a result, in bounded time and
            memory, and no file touched but those that the command names
"""
