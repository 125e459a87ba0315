"""The data sets that icdcode reads, one file per source."""
