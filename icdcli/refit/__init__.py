"""Final fits: a run is trained again on all documents, with settings chosen out of fold."""
