"""``python -m icdcli``: the command line without the installed script, as torchrun starts it."""

from icdcli.cli import main

if __name__ == "__main__":
    main()
