"""The PyTorch core. Knows tensors and modules; no rows, no HTTP, no job contexts."""
