"""The migrations of the review store, which ship with the package."""
