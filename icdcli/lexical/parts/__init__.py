"""The lexical parts, one module per part; see `icdcli.lexical.registry`."""
