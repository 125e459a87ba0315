"""Moving trained models to another edition of their coding system."""
