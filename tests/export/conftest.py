"""A run in every format, each written once."""

import platform
import socket
from functools import cache

import pytest

from fundus_uda.export.formats import FORMATS, export
from tests.conftest import SECRETS


@pytest.fixture(scope="session")
def exported(seeing_run, tmp_path_factory):
    """A function from the name of a format to that run in it, written once, and what was said."""

    @cache
    def write(name):
        out = tmp_path_factory.mktemp(name) / f"model{FORMATS[name].suffix}"
        user, _, machine = SECRETS
        with pytest.MonkeyPatch.context() as patch:
            for variable in ("USER", "LOGNAME", "USERNAME"):
                patch.setenv(variable, user)
            patch.setattr(platform, "node", lambda: machine)
            patch.setattr(socket, "gethostname", lambda: machine)
            return out, export(seeing_run, name, out)

    return write
