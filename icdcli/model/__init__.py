"""From tokens to one logit a code: backbone, pooling, output layer, and their form on disk."""
