"""The report of a study: facts in, documents out."""
