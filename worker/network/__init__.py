"""What a network is, as data: a graph of operations without weights and without code. Torch-free."""
