"""Linear layers of a backbone that waste no time on a GPU: with adapters, in 16, 8 and 4 bits."""
