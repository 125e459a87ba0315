"""Several trained models as one: their calibrated logits are averaged."""
