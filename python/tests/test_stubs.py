"""The stubs name what the extension module has, with the same parameters."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import evenkeel
from evenkeel import _evenkeel

STUB = ast.parse(Path(evenkeel.__file__).with_name("_evenkeel.pyi").read_text())
KEPT = ("__arrow_c_stream__", "__len__")


def public(names):
    return {name for name in names if not name.startswith("__") or name in KEPT}


def test_functions_classes_and_methods_are_those_of_the_module():
    classes = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
    functions = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
    assert public(vars(_evenkeel)) - {"_evenkeel"} == set(classes) | set(functions)
    for name, stub in functions.items():
        wanted = [argument.arg for argument in stub.args.args]
        assert list(inspect.signature(getattr(_evenkeel, name)).parameters) == wanted, name
    for name, node in classes.items():
        methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
        found = vars(getattr(_evenkeel, name))
        assert public(found) == set(methods), name
        for method, stub in methods.items():
            member = found[method]
            if inspect.isgetsetdescriptor(member):
                assert [d.id for d in stub.decorator_list] == ["property"], method
            elif method not in KEPT:
                function = getattr(_evenkeel, name).__dict__[method]
                function = getattr(function, "__func__", function)
                wanted = [argument.arg for argument in stub.args.args]
                assert list(inspect.signature(function).parameters) == wanted, method


def test_the_package_exports_what_it_says():
    assert all(hasattr(evenkeel, name) for name in evenkeel.__all__)
    assert sorted(evenkeel.__all__) == evenkeel.__all__
    assert Path(evenkeel.__file__).with_name("py.typed").exists()
