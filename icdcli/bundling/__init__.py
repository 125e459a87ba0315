"""Bundles for machines without a network: wheels, a model, editions, checksums and an installer."""
