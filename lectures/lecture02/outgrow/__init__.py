"""The same flows in other libraries, and the functions that turn their parameters into nfnumpy models."""
