"""`python -m acns_chaos.cli`: the command without an installed script."""

from acns_chaos.cli import main

if __name__ == "__main__":
    main(prog_name="acns-chaos")
