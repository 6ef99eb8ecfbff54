"""Other people's networks, with their weights: what the torch-free readers of `worker.network.importers` leave."""
