"""Modules of the standard library that others import but most stations never use are loaded at their first use."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from threading import Lock
from typing import Final

LAZY_MODULES: Final = (
    "csv",  # the table of grid orders
    "difflib",  # the configuration, for a misspelt variable
    "gzip",  # log uploads
    "importlib.metadata",  # websockets, for versions under development; with email and zipfile
    "ipaddress",  # urllib.parse, for IPv6 addresses
    "locale",  # subprocess, for text of programs in another encoding
    "textwrap",  # msgspec, for JSON schemas
    "tokenize",  # linecache, for the source lines of a traceback
    "urllib.request",  # websockets, for proxies; with http.client and email
    "zoneinfo",  # a station whose time zone is set
)
_replacement_lock: Final = Lock()


def load_lazily() -> None:
    """Register the modules of `LAZY_MODULES`, each to be loaded when one of its attributes is first used.

    It must run before their users are imported. `importlib.util.LazyLoader` does not serve: in Python 3.11 the import
    statement itself uses an attribute of the module, which loads it.
    """
    for name in LAZY_MODULES:
        if name not in sys.modules:
            _register_placeholder(name)


def _register_placeholder(module_name: str) -> None:
    """Put a module in the place of another, whose `__getattr__` (PEP 562) imports that one and takes it from there."""
    spec = find_spec(module_name)
    if spec is None:
        return
    placeholder = module_from_spec(spec)

    def from_module(name: str) -> object:
        with _replacement_lock:  # not while importing, for which threads wait anyway
            if sys.modules.get(module_name) is placeholder:
                del sys.modules[module_name]
        return getattr(import_module(module_name), name)

    vars(placeholder)["__getattr__"] = from_module
    sys.modules[module_name] = placeholder
    package, _, last = module_name.rpartition(".")
    if package:
        setattr(sys.modules[package], last, placeholder)
