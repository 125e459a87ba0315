"""The words that notes use for conditions: synonyms of codes, and clinical abbreviations."""
