"""Runs jobs: the specs a client may send, the engine that brings them to a process, and the PyTorch core."""
