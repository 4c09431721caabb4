"""The command `fundus-uda`, also as `python -m fundus_uda`."""

from fundus_uda.commands import command_module


def run() -> None:
    """Run the command line."""
    command_module("main").run()


if __name__ == "__main__":
    run()
