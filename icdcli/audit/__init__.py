"""Errors in labels: gold codes that notes don't support, and supported codes that gold lacks.

`icdcli.audit.run.audit_corpus` audits a corpus. No score that it uses comes from a model that has
seen the document, and what an error looks like is learned from errors that it makes itself.
"""
