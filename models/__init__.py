"""The models: hierarchical quantizers, their training and their weights."""
