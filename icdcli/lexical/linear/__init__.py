"""Linear models of all labels together: support vector machines, and ridge regression's algebra."""
