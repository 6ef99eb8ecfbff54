"""Compression of a float network to the smallest file within an accuracy drop: a library, run by `compress`."""
