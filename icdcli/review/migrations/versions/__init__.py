"""The versions of the schema, each with the steps from the one before."""
