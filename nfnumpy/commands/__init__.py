"""The commands of ``python -m nfnumpy``, one a file.

`EXAMPLE` ends the command's help, `add_arguments(parser)` declares what it takes, `run(args)` does it: it prints its
results and returns nothing, or the exit status. What is wrong with the input it raises as a ValueError or an OSError,
whose message `nfnumpy.__main__` shows as one sentence.
"""
