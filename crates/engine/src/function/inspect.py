"""What a function is made of: its module, the modules of the project that this one imports, and
the versions of the packages that they import; run by `inspect.rs`.

Nothing of the project is executed: imports are read from the syntax tree, wherever they stand.
Reads one JSON object from standard input and writes one to standard output.
"""

import sys

sys.path = [entry for entry in sys.path if entry]

import ast
import json
import os
import platform
import re
import signal
from importlib import metadata

FILES_MAX = 1000
# What is recorded is a text of SQL, with quotes doubled: that is at most a megabyte.
BYTES_MAX = 400_000


class Refused(Exception):
    pass


def text_of(root, path):
    full = os.path.realpath(os.path.join(root, path))
    if not full.startswith(os.path.realpath(root) + os.sep):
        raise Refused(f"`{path}` is outside the project's folder")
    try:
        with open(full, encoding="utf-8", newline="") as file:
            text = file.read(BYTES_MAX + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"`{path}` cannot be read: {error}") from None
    return text.replace("\r\n", "\n")


def path_of(root, name):
    """The file of a module of the project, if it is one."""
    base = name.replace(".", "/")
    for path in (base + "/__init__.py", base + ".py"):
        if os.path.isfile(os.path.join(root, path)):
            return path
    return None


def imported(tree, name, is_package):
    """The names of modules that may be imported, each with those that contain it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                parts = parts[: len(parts) - node.level + int(is_package)]
                base = ".".join([*parts, base] if base else parts)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def closure(root, path):
    """The texts of the module and of what it imports from the project; all other first names."""
    files, others, waiting, size = {}, set(), [path], 0
    while waiting:
        path = waiting.pop()
        if path in files:
            continue
        text = text_of(root, path)
        # As it is written in SQL.
        size += len(text.encode()) + text.count("'")
        if len(files) >= FILES_MAX or size > BYTES_MAX:
            raise Refused(f"the modules that `{path}` is one of have more than {BYTES_MAX} bytes, or are more than {FILES_MAX}")
        files[path] = text
        try:
            tree = ast.parse(text, path)
        except SyntaxError as error:
            raise Refused(f"`{path}`, line {error.lineno}: {error.msg}") from None
        name = path[: -len(".py")].replace("/", ".")
        is_package = name.endswith("__init__")
        name = name[: -len(".__init__")] if name.endswith(".__init__") else name
        for found in imported(tree, name, is_package):
            parts = found.split(".")
            inner = [path_of(root, ".".join(parts[: i + 1])) for i in range(len(parts))]
            waiting.extend(filter(None, inner))
            is_folder = os.path.isdir(os.path.join(root, parts[0]))
            if parts[0] and not any(inner) and not is_folder:
                others.add(parts[0])
    return files, others


def lock_of(names):
    """The versions of the packages that have these modules, and of what those require."""
    versions = {"python": platform.python_version()}
    packages = metadata.packages_distributions() if names else {}
    waiting = [package for name in names for package in packages.get(name, ())]
    while waiting:
        package = waiting.pop()
        key = re.sub(r"[-_.]+", "-", package).lower()
        if key in versions:
            continue
        try:
            found = metadata.distribution(package)
        except metadata.PackageNotFoundError:
            continue
        versions[key] = found.version
        for required in found.requires or ():
            needed, _, marker = required.partition(";")
            if "extra" not in marker:
                waiting.append(re.match(r"[A-Za-z0-9._-]+", needed.strip()).group())
    return versions


def main():
    # Whoever started it waits.
    signal.alarm(60)
    asked = json.load(sys.stdin)
    try:
        files, others = closure(asked["root"], asked["file"])
        names = {name for name in others if name not in sys.stdlib_module_names}
        names.update(asked["modules"])
        answer = {"files": files, "lock": lock_of(names)}
    except Refused as error:
        answer = {"refused": str(error)}
    json.dump(answer, sys.stdout)


main()
