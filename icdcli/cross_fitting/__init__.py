"""Cross-fitting: models of folds score the documents that they haven't seen."""
