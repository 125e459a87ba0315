"""Views of what scores decide: accepted codes, and whether incoming notes fit."""
