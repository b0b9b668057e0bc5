"""The sparse networks that can complete a skull, and their weights. Needs PyTorch."""
