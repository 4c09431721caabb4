"""The command `roadscene`, also as `python -m roadscene`."""

from fundus_uda.commands import command_module


def run() -> None:
    """Run the command line."""
    command_module("roadscene").run()


if __name__ == "__main__":
    run()
