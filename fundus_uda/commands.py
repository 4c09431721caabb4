"""Where the commands are: `fundus_uda.cli` if installed, the folder `cli` atop a checkout."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

PACKAGE = "fundus_uda.cli"


def command_module(name: str) -> ModuleType:
    """Import a module of the commands, in a checkout too, where another `cli` may be installed.

    Args:
        name: name of the module in the folder `cli`.
    """
    atop = Path(__file__).parents[1] / "cli"
    if PACKAGE not in sys.modules and importlib.util.find_spec(PACKAGE) is None:
        spec = importlib.util.spec_from_file_location(
            PACKAGE, atop / "__init__.py", submodule_search_locations=[str(atop)]
        )
        assert spec is not None
        assert spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules[PACKAGE] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"{PACKAGE}.{name}")
