"""Lists the public symbols of the urllib3 that is installed, as JSON: what docs/parity.md has to answer for.

usage:  python3 -m venv V
        V/bin/pip install 'urllib3[brotli,h2,socks,zstd]' pyopenssl
        V/bin/python scripts/parity.py >docs/ledger/urllib3-symbols.json

Public is what urllib3's reference documents: the modules below, and in them every name without an underscore that is theirs.
A class answers for its own methods, properties, attributes (those that its constructor sets, too) and for the parameters of its
constructor and of requests; what it only inherits stands with its parent. What several modules offer stands once: in
`urllib3` if it is there, else where it is defined.
"""

import ast
import importlib
import inspect
import json
import textwrap
import types
import warnings

warnings.simplefilter("ignore")

MODULES = (
    "urllib3",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.connection",
    "urllib3.response",
    "urllib3.fields",
    "urllib3.filepost",
    "urllib3.exceptions",
    "urllib3.util",
    "urllib3.util.connection",
    "urllib3.util.proxy",
    "urllib3.util.request",
    "urllib3.util.response",
    "urllib3.util.retry",
    "urllib3.util.ssl_",
    "urllib3.util.ssl_match_hostname",
    "urllib3.util.ssltransport",
    "urllib3.util.timeout",
    "urllib3.util.url",
    "urllib3.util.util",
    "urllib3.util.wait",
    "urllib3.contrib.socks",
    "urllib3.contrib.pyopenssl",
    "urllib3.contrib.emscripten",
    "urllib3.http2",
)
HOME = "urllib3"
# Methods whose parameters count like a constructor's.
ASKING = ("urlopen", "request", "request_encode_url", "request_encode_body")


def is_ours(value):
    return str(getattr(value, "__module__", "")).split(".")[0] == HOME


def names_of(module):
    listed = list(getattr(module, "__all__", ()))
    # A member of the standard library that was only imported is none of the module's; a constant is whose file it stands in.
    rest = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and name not in listed
        and not isinstance(value, types.ModuleType)
        and (is_ours(value) or (name.isupper() and not inspect.isclass(value)))
    ]
    return [name for name in listed + rest if not isinstance(getattr(module, name, None), types.ModuleType)]


def parameters(cls):
    try:
        found = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in found if not p.name.startswith("_") and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def set_by_constructor(cls):
    """Names that `__init__` assigns to on self."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError):
        return
    for part in tree.body[0].body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            for node in ast.walk(part):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and getattr(node.value, "id", "") == "self":
                    yield node.attr


def members(cls):
    """Its own: (name, kind) in the order of the source. The fields of a tuple are its parameters."""
    found = {}
    for name, value in vars(cls).items():
        if isinstance(value, property):
            found[name] = "property"
        elif inspect.isroutine(value) or isinstance(value, (classmethod, staticmethod)):
            found[name] = "method"
        else:
            found[name] = "attribute"
    for name in [*getattr(cls, "__annotations__", {}), *set_by_constructor(cls)]:
        found.setdefault(name, "attribute")
    fields = getattr(cls, "_fields", ())
    return [(name, kind) for name, kind in found.items() if not name.startswith("_") and name not in fields]


def modules():
    for path in MODULES:
        try:
            yield path, importlib.import_module(path)
        except ImportError:  # the browser that Emscripten needs is not here
            pass


def main():
    loaded = dict(modules())
    symbols = {}
    seen = set()
    for path, module in loaded.items():
        for name in names_of(module):
            value = getattr(module, name)
            home = getattr(value, "__module__", None)
            if path != HOME and home != path and home in loaded:
                continue
            known = inspect.isclass(value) or inspect.isfunction(value)
            if (id(value), name) in seen if known else any(other.rsplit(".", 1)[-1] == name for other in symbols):
                continue
            again = known and any(other == id(value) for other, _ in seen)
            seen.add((id(value), name))
            full = f"{path}.{name}"
            if not inspect.isclass(value):
                symbols[full] = "function" if callable(value) else "constant"
                if path == HOME and inspect.isfunction(value):
                    symbols.update({f"{full}({one})": "parameter" for one in parameters(value)})
                continue
            symbols[full] = "exception" if issubclass(value, BaseException) else "class"
            if again or not is_ours(value):
                continue
            if "__init__" in vars(value) or "__new__" in vars(value):
                for one in parameters(value):
                    symbols[f"{full}({one})"] = "parameter"
            for member, kind in members(value):
                symbols[f"{full}.{member}"] = kind
                if member in ASKING and kind == "method":
                    asked = [one for one in parameters(getattr(value, member)) if one != "self"]
                    symbols.update({f"{full}.{member}({one})": "parameter" for one in asked})
    out = [{"symbol": symbol, "kind": kind} for symbol, kind in symbols.items()]
    lines = ",\n".join(f"    {json.dumps(one)}" for one in out)
    print(f'{{\n  "urllib3": "{loaded[HOME].__version__}",\n  "symbols": [\n{lines}\n  ]\n}}')


main()
