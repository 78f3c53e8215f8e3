"""The process in which the functions of one module run; started by `worker.rs`.

It reads frames from the pipe that was its standard input and writes frames to the one that was
its standard output: the lengths of a header and of a payload (32 bits each, little endian), the
header (JSON), the payload (an Arrow IPC stream). It ends when its input ends. Modules come with
the first frame, never from files. Whatever the functions print goes to standard error.
"""

import ctypes
import decimal
import faulthandler
import importlib.abc
import importlib.machinery
import json
import linecache
import os
import platform
import resource
import signal
import struct
import sys
import time
import traceback

# The pipes leave the numbers that `print` and `input` use, before anything else happens.
REQUESTS = os.dup(0)
REPLIES = os.dup(1)
NOTHING = os.open(os.devnull, os.O_RDONLY)
os.dup2(NOTHING, 0)
os.close(NOTHING)
os.dup2(2, 1)
sys.path = [entry for entry in sys.path if entry]

HEADER_BYTES_MAX = 1 << 27
TRACEBACK_CHARACTERS_MAX = 4000
# Rows whose exception is told; the others only count.
TOLD_ERRORS_MAX = 8


class Refused(Exception):
    """What is wrong, in words for the user, without a traceback."""


def receive(length):
    parts = []
    while length:
        part = os.read(REQUESTS, min(length, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def receive_frame():
    header, payload = struct.unpack("<II", receive(8))
    if header > HEADER_BYTES_MAX:
        os._exit(2)
    return json.loads(receive(header)), receive(payload)


def send_frame(header, payload=b""):
    header = json.dumps(header).encode()
    frame = memoryview(struct.pack("<II", len(header), len(payload)) + header + payload)
    while frame:
        try:
            frame = frame[os.write(REPLIES, frame) :]
        except BrokenPipeError:
            os._exit(0)


# Modules


class Modules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Modules of the project from their recorded texts, before all others."""

    def __init__(self, files):
        self.files = {}
        self.packages = set()
        for path, text in files.items():
            name = path[: -len(".py")].replace("/", ".")
            if name.endswith(".__init__"):
                name = name[: -len(".__init__")]
                self.packages.add(name)
            self.files[name] = (path, text)
            parts = name.split(".")
            self.packages.update(".".join(parts[:i]) for i in range(1, len(parts)))
            lines = text.splitlines(True)
            linecache.cache[path] = (len(text), None, lines, path)

    def find_spec(self, name, path=None, target=None):
        if name not in self.files and name not in self.packages:
            return None
        is_package = name in self.packages
        return importlib.machinery.ModuleSpec(name, self, origin=name, is_package=is_package)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        found = self.files.get(module.__name__)
        if found is not None:
            path, text = found
            module.__file__ = path
            exec(compile(text, path, "exec", dont_inherit=True), module.__dict__)


class WithoutPandas(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ImportError(name)
        return None


# Walls and fences


def readable_roots():
    """What is read besides the function's own modules: Python and its packages."""
    roots = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path}
    roots.update(("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo"))
    roots.update(("/dev/null", "/dev/urandom", "/dev/zero", "/etc/ld.so.cache"))
    roots.add("/sys/devices/system/cpu")
    real = {os.path.realpath(root) for root in roots}
    return sorted(root for root in real if os.path.exists(root) and root != "/")


WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
PROGRAMS = ("subprocess.", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.system", "pty.")
NETWORK = ("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "poplib.", "imaplib.", "telnetlib.", "nntplib.")
FILES = (
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate",
    "os.chmod", "os.chown", "os.utime", "os.setxattr", "os.removexattr", "os.chflags", "shutil.",
    "tempfile.", "sqlite3.connect", "os.putenv",
)
READING = ("open", "os.listdir", "os.scandir", "os.getxattr", "os.listxattr")


def fence(allows_network, allows_files):
    """Refuses in words what the walls below refuse with a number. Python code can get around it."""
    roots = readable_roots()

    def is_readable(path):
        if isinstance(path, int):
            return True
        path = os.path.realpath(os.fsdecode(path if path is not None else "."))
        return any(path == root or path.startswith(root + os.sep) for root in roots)

    def hook(event, args):
        if event.startswith(PROGRAMS):
            raise PermissionError("a function starts no programs")
        if not allows_network and event.startswith(NETWORK):
            raise PermissionError("no network: the function is not declared with ALLOW NETWORK")
        if allows_files:
            return
        if event.startswith(FILES):
            raise PermissionError("no files: the function is not declared with ALLOW FILES")
        if event in READING:
            writes = event == "open" and isinstance(args[2], int) and args[2] & WRITE_FLAGS
            target = args[0]
            if isinstance(target, int):
                return
            if (writes and os.fsdecode(target) != os.devnull) or not is_readable(target):
                raise PermissionError("no files: the function is not declared with ALLOW FILES")

    sys.addaudithook(hook)


SYSTEM_CALLS = {
    # name: (x86_64, aarch64); None: there is none
    "network": [(41, 198), (53, 199)],  # socket, socketpair
    "programs": [(59, 221), (322, 281), (57, None), (58, None)],  # execve, execveat, fork, vfork
    "others": [
        (101, 117), (310, 270), (311, 271), (425, 425), (62, 129), (200, 130), (129, 138),
        (297, 240), (424, 424), (434, 434), (438, 438), (272, 97), (308, 268), (165, 40),
        (321, 280), (298, 241), (323, 282), (246, 104), (155, 41), (161, 51), (250, 219),
        (248, 217), (249, 218),
    ],
    # ptrace, process_vm_readv, process_vm_writev, io_uring_setup, kill, tkill, rt_sigqueueinfo,
    # rt_tgsigqueueinfo, pidfd_send_signal, pidfd_open, pidfd_getfd, unshare, setns, mount, bpf,
    # perf_event_open, userfaultfd, kexec_load, pivot_root, chroot, keyctl, add_key, request_key
}
CLONE = (56, 220)
CLONE3 = (435, 435)
TGKILL = (234, 131)
PRLIMIT = (302, 261)
SECCOMP = (317, 277)
CLONE_THREAD = 0x10000
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def wall_of_calls(libc, allows_network):
    """A seccomp filter: no sockets, no programs, no signals to other processes."""
    if platform.machine() not in ARCHITECTURES or sys.maxsize < 1 << 32:
        return False
    column, audit = ARCHITECTURES[platform.machine()]
    load, equal, any_bit, answer = 0x20, 0x15, 0x45, 0x06
    allow, refuse, absent, kill = 0x7FFF0000, 0x00050001, 0x00050000 | 38, 0x80000000
    refused = [call[column] for call in SYSTEM_CALLS["programs"] + SYSTEM_CALLS["others"]]
    if not allows_network:
        refused += [call[column] for call in SYSTEM_CALLS["network"]]
    refused = sorted(number for number in refused if number is not None)
    program = [
        (load, 0, 0, 4),
        (equal, 1, 0, audit),
        (answer, 0, 0, kill),
        (load, 0, 0, 0),
    ]
    if column == 0:
        # The other numbers of the same machine.
        program += [(0x35, 0, 1, 0x40000000), (answer, 0, 0, refuse)]
    for number in refused:
        program += [(equal, 0, 1, number), (answer, 0, 0, refuse)]
    # Whoever makes threads tries the older call then, whose flags can be looked at.
    program += [(equal, 0, 1, CLONE3[column]), (answer, 0, 0, absent)]
    program += [
        (equal, 0, 4, CLONE[column]),
        (load, 0, 0, 16),
        (any_bit, 0, 1, CLONE_THREAD),
        (answer, 0, 0, allow),
        (answer, 0, 0, refuse),
        # Signals and limits: of this process alone.
        (equal, 2, 0, TGKILL[column]),
        (equal, 1, 0, PRLIMIT[column]),
        (answer, 0, 0, allow),
        (load, 0, 0, 16),
        (equal, 1, 0, os.getpid()),
        (equal, 0, 1, 0),
        (answer, 0, 0, allow),
        (answer, 0, 0, refuse),
    ]
    code = b"".join(struct.pack("<HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    filter = Program(len(program), ctypes.addressof(buffer))
    set_mode_filter, all_threads = 1, 1
    number = SECCOMP[column]
    return libc.syscall(number, set_mode_filter, all_threads, ctypes.byref(filter)) == 0


def wall_of_files(libc, roots):
    """Landlock: of the file system only Python's own is there, to be read."""
    create, add, restrict = 444, 445, 446
    version = libc.syscall(create, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if version < 1:
        return False
    execute, read_file, read_directory = 1 << 0, 1 << 2, 1 << 3
    handled = (1 << 13) - 1
    if version >= 2:
        handled |= 1 << 13
    if version >= 3:
        handled |= 1 << 14
    if version >= 5:
        handled |= 1 << 15
    attributes = struct.pack("<Q", handled)
    ruleset = libc.syscall(create, attributes, ctypes.c_size_t(8), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    for root in roots:
        access = execute | read_file
        if os.path.isdir(root):
            access |= read_directory
        try:
            parent = os.open(root, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        rule = struct.pack("<Qi", access, parent)
        added = libc.syscall(add, ruleset, 1, rule, ctypes.c_uint32(0))
        os.close(parent)
        if added != 0:
            os.close(ruleset)
            return False
    restricted = libc.syscall(restrict, ruleset, ctypes.c_uint32(0))
    os.close(ruleset)
    return restricted == 0


def system():
    """The C library, after a promise without which walls are not built; none elsewhere than on Linux."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    no_new_privileges = 38
    return libc if libc.prctl(no_new_privileges, 1, 0, 0, 0) == 0 else None


def limit_memory(sizes, bytes_max):
    """What the function may have beyond the interpreter as it is now."""
    now = int(os.read(sizes, 1000).split()[0]) * resource.getpagesize()
    os.close(sizes)
    limit = now + bytes_max
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# Environment


def installed(name):
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_lock(lock):
    """Refuses another environment than the one that the definition was applied with."""
    differences = []
    for name, version in lock.items():
        now = platform.python_version() if name == "python" else installed(name)
        if now != version:
            differences.append(f"{name} is {now or 'not installed'}, locked is {version}")
    if differences:
        raise Refused("the environment is another than the one it was applied with: " + "; ".join(differences))


# Functions


def excerpt(text):
    if len(text) <= TRACEBACK_CHARACTERS_MAX:
        return text
    half = TRACEBACK_CHARACTERS_MAX // 2
    return text[:half] + "\n...\n" + text[-half:]


def told(error):
    """The traceback from the first frame of the project's on."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == "<evenkeel worker>":
        frames = frames.tb_next
    return excerpt("".join(traceback.format_exception(type(error), error, frames)).strip())


class Function:
    def __init__(self, header, arrow, result):
        self.arrow = arrow
        self.result = result
        self.vectorized = header["vectorized"]
        self.declared = header["declared"]
        module = importlib.import_module(header["module"])
        found = module
        for part in header["function"].split("."):
            found = getattr(found, part, None)
        if not callable(found):
            raise Refused(f"`{header['file']}` has no function `{header['function']}`")
        self.function = found

    def values(self, batch):
        """A column of results, and of each row without one what happened."""
        if self.vectorized:
            return self.checked(self.function(*batch.columns), batch.num_rows), []
        columns = [python_values(column) for column in batch.columns]
        results, errors = [None] * batch.num_rows, []
        for row, arguments in enumerate(zip(*columns)):
            try:
                for argument in arguments:
                    if isinstance(argument, Unrepresentable):
                        raise argument.error
                results[row] = self.function(*arguments)
            except MemoryError:
                raise
            except BaseException as error:
                errors.append((row, told(error)))
        try:
            return self.arrow.array(results, type=self.result), errors
        except Exception:
            pass
        for row, value in enumerate(results):
            try:
                self.arrow.array([value], type=self.result)
            except Exception as error:
                results[row] = None
                kind = type(value).__name__
                errors.append((row, f"it returned {value!r:.200} ({kind}), declared is {self.declared}: {error}"))
        return self.arrow.array(results, type=self.result), sorted(errors)

    def checked(self, result, rows):
        arrow = self.arrow
        if isinstance(result, arrow.ChunkedArray):
            result = result.combine_chunks()
        elif hasattr(result, "__array__") and not isinstance(result, arrow.Array):
            result = arrow.array(result.__array__())
        if not isinstance(result, arrow.Array):
            kind = type(result).__name__
            raise Refused(f"it returned {kind}; a vectorised function returns a pyarrow or numpy array")
        if len(result) != rows:
            raise Refused(f"it returned {len(result)} values for {rows} rows")
        if result.type != self.result:
            raise Refused(f"it returned {result.type}, declared is {self.declared} ({self.result}): cast it")
        return result


class Unrepresentable:
    def __init__(self, error):
        self.error = error


def python_values(column):
    try:
        return column.to_pylist()
    except Exception:
        return [python_value(scalar) for scalar in column]


def python_value(scalar):
    try:
        return scalar.as_py()
    except Exception as error:
        return Unrepresentable(error)


def arrow_library():
    try:
        import pyarrow as arrow
        import pyarrow.ipc
    except ImportError as error:
        install = f"`{sys.executable} -m pip install pyarrow`"
        raise Refused(f"pyarrow is missing in {sys.executable} ({error}): {install}") from None
    arrow.set_cpu_count(1)
    # It looks for pandas when it makes its first array: that takes a second, and nobody asked.
    sys.meta_path.insert(0, WithoutPandas())
    arrow.array([0.0]).to_pylist()
    del sys.meta_path[0]
    return arrow


def ready(header):
    """Arrow, and what keeps even machine code from files, network and other processes, by name."""
    libc, walls = system(), []
    sizes = os.open("/proc/self/statm", os.O_RDONLY) if sys.platform == "linux" else None
    # It holds for threads that come later: before there are any.
    if libc is not None and not header["file_access"] and wall_of_files(libc, readable_roots()):
        walls.append("landlock")
    arrow = arrow_library()
    check_lock(header["lock"])
    decimal.getcontext().prec = 38
    sys.meta_path.insert(0, Modules(header["files"]))
    if sizes is not None:
        limit_memory(sizes, header["memory_bytes"])
    fence(header["network"], header["file_access"])
    if libc is not None and wall_of_calls(libc, header["network"]):
        walls.append("seccomp")
    return arrow, walls


def call(function, arrow, payload):
    with arrow.ipc.open_stream(payload) as reader:
        batch = reader.read_next_batch()
    begun = time.perf_counter()
    column, errors = function.values(batch)
    micros = int((time.perf_counter() - begun) * 1e6)
    sink = arrow.BufferOutputStream()
    out = arrow.record_batch([column], names=["result"])
    with arrow.ipc.new_stream(sink, out.schema) as writer:
        writer.write_batch(out)
    rows = [row for row, _ in errors]
    told = [text for _, text in errors[:TOLD_ERRORS_MAX]]
    return {"kind": "values", "rows": rows, "told": told, "micros": micros}, sink.getvalue()


def main():
    faulthandler.enable()
    # A call that takes too long ends the process, with its traceback, even if it holds the
    # interpreter's lock: what comes next in the chain is the system's own answer.
    faulthandler.register(signal.SIGALRM, all_threads=False, chain=True)
    arrow, functions = None, {}
    while True:
        header, payload = receive_frame()
        signal.setitimer(signal.ITIMER_REAL, header["timeout_ms"] / 1000)
        body = b""
        try:
            if header["kind"] == "start":
                arrow, walls = ready(header)
                reply = {"kind": "ready", "walls": walls}
            elif header["kind"] == "define":
                schema = arrow.ipc.open_stream(payload).schema
                functions[header["id"]] = Function(header, arrow, schema.field("result").type)
                reply = {"kind": "defined"}
            else:
                reply, body = call(functions[header["id"]], arrow, payload)
        except Refused as error:
            reply = {"kind": "refused", "reason": str(error)}
        except MemoryError as error:
            # Nobody knows what is left of it.
            send_frame({"kind": "memory", "reason": told(error)})
            os._exit(3)
        except Exception as error:
            reply = {"kind": "raised", "reason": told(error)}
        signal.setitimer(signal.ITIMER_REAL, 0)
        reply["id"] = header["number"]
        send_frame(reply, body)


main()
