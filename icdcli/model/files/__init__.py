"""The files of a trained model: those of its checkpoint, its base model and its export."""
