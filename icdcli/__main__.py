"""``python -m icdcli``: the command line without its script; what torchrun starts."""

from icdcli.cli import main

if __name__ == "__main__":
    main()
