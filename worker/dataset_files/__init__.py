"""What a user brings becomes a data set: a file in one of several formats is read within limits, and its pictures are
decoded once, into one cache file.

`importing.import_dataset` does it; `cache.open_cache` reads what it wrote. Without torch, and `options` and `summary`
without NumPy too: the API reads those.
"""
