"""`make demo`: a client of the public API, from training to the compressed file. Knows nothing but HTTP."""
