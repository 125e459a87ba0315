"""The second stage: it scores a document's best codes again, from all that the parts say."""
