"""Shuts a process in by what the kernel offers. Everything here runs in the process itself.

Three levels, best first:

    namespaces   its own mounts, processes, network, IPC and users: the files that it may not read
                 are not there, and neither are other processes or any network
    landlock     the files that it may not read are refused, and every socket; rlimits
    rlimits      limits on memory, processes and file size alone

At each, where root starts it, the process first becomes a user without rights: root ignores
RLIMIT_NPROC. Whatever fails raises an `OSError` that says which step it was.
"""

import contextlib
import ctypes
import os
import struct
import sys

NAMESPACES, LANDLOCK, RLIMITS = LEVELS = ("namespaces", "landlock", "rlimits")

_NEWNS, _NEWUTS, _NEWIPC = 0x00020000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
_DETACH, _AT_FDCWD, _AT_RECURSIVE = 2, -100, 0x8000
_PDEATHSIG, _DUMPABLE, _CAPBSET_DROP, _NO_NEW_PRIVS, _SUBREAPER = 1, 4, 24, 38, 36
_SYS_MOUNT_SETATTR, _SYS_LANDLOCK = 442, 444  # the same on every architecture
# Not "zero": mapped as shared, it is memory that no limit counts.
_DEVICES = ("null", "full", "random", "urandom")
_OLD, _SCRATCH = "/.outside", "/.scratch"


def _libc():
    return ctypes.CDLL(None, use_errno=True)


def _do(what, function, *arguments):
    """Calls a function of the C library; an error names the step."""
    given = [a.encode() if isinstance(a, str) else a for a in arguments]
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in given]
    result = getattr(_libc(), function)(*given)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def _prctl(what, option, value=0):
    _do(what, "prctl", option, value, 0, 0, 0)


def die_with_the_parent():
    """Asks Linux to end this process when its parent ends."""
    if sys.platform == "linux":
        _prctl("prctl", _PDEATHSIG, 9)


def adopt_orphans():
    """Makes this process the parent of what its children leave behind."""
    if sys.platform == "linux":
        _prctl("prctl", _SUBREAPER, 1)


def unreadable_by_others():
    """Keeps processes of the same user from reading or tracing this one."""
    if sys.platform == "linux":
        _prctl("prctl", _DUMPABLE, 0)


def unshare():
    """Leaves the machine's namespaces; the next child is the first process of its own.

    Where root calls it, the user namespace is left to `become`: mounts are made as root, since
    a Python below /root is out of the reach of others.
    """
    user = 0 if os.geteuid() == 0 else _NEWUSER
    what = "own namespaces (unshare)"
    uid, gid = os.geteuid(), os.getegid()
    _do(what, "unshare", user | _NEWNS | _NEWPID | _NEWNET | _NEWIPC | _NEWUTS)
    if user:
        _map_ids(uid, gid)


def _map_ids(uid, gid):
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def new_root(view, uid):
    """Gives this process a file system of its own.

    Args:
        view: [(kind, path, more)], parents before what lies in them. Kinds: "read" (`more` from
            outside, readable there), "write" (empty and writable, `more` bytes together), "hide"
            (empty),
            "link" (to `more`) and "text" (a file that holds `more`).
        uid: the user who may write; None for this process's own.
    """
    _do("private mounts", "mount", None, "/", None, _REC | _PRIVATE, None)
    _tmpfs("/tmp", "mode=755,size=4m")
    os.mkdir("/tmp" + _OLD)
    _do("pivot_root", "pivot_root", "/tmp", "/tmp" + _OLD)
    os.chdir("/")
    read_only = ["/"]
    for kind, path, more in view:
        if kind == "read":
            _bind(_OLD + more, path)
            _attributes(path, _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV, _AT_RECURSIVE)
        elif kind == "hide":
            os.makedirs(path, exist_ok=True)
            _tmpfs(path, "mode=755,size=4m")
            read_only.append(path)
        elif kind == "write":
            os.makedirs(path, exist_ok=True)
            if not os.path.isdir(_SCRATCH):  # one for all, so that its size is theirs together
                os.mkdir(_SCRATCH)
                _tmpfs(_SCRATCH, f"mode=755,size={more}")
            place = f"{_SCRATCH}/{len(os.listdir(_SCRATCH))}"
            os.mkdir(place, 0o700)
            if uid is not None:
                os.chown(place, uid, uid)
            _do(f"mount of {path}", "mount", place, path, None, _BIND, None)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if kind == "link":
                os.symlink(more, path)
            else:
                with open(path, "w", encoding="utf-8") as file:
                    file.write(more)
    os.makedirs("/proc", exist_ok=True)
    _do("own /proc", "mount", "proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC, None)
    for name in _DEVICES:
        _bind(f"{_OLD}/dev/{name}", f"/dev/{name}")
    os.symlink("/proc/self/fd", "/dev/fd")
    _do("leaving the old root", "umount2", _OLD, _DETACH)
    os.rmdir(_OLD)
    if os.path.isdir(_SCRATCH):
        _do("leaving the scratch folder", "umount2", _SCRATCH, _DETACH)
        os.rmdir(_SCRATCH)
    for path in read_only:
        _attributes(path, _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV, 0)


def _tmpfs(path, options):
    _do(f"tmpfs on {path}", "mount", "tmpfs", path, "tmpfs", _NOSUID | _NODEV, options)


def _bind(source, path):
    if os.path.isdir(source):
        os.makedirs(path, exist_ok=True)
    elif not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").close()
    _do(f"mount of {path}", "mount", source, path, None, _BIND | _REC, None)


def _attributes(path, attributes, flags):
    value = struct.pack("=QQQQ", attributes, 0, 0, 0)
    what, text = f"read-only {path} (mount_setattr, Linux 5.12)", path.encode()
    _do(what, "syscall", _SYS_MOUNT_SETATTR, _AT_FDCWD, text, flags, value, len(value))


def become(uid, own_namespace):
    """Gives up every right of root, for good.

    Args:
        uid: the user (and group) to become, or None to stay who one is.
        own_namespace: whether to enter a user namespace of one's own, where limits on processes
            are counted for this one alone.
    """
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        if own_namespace:
            _prctl("prctl", _DUMPABLE, 1)  # for /proc/self/uid_map to be one's own
            _do("own user namespace", "unshare", _NEWUSER)
            _map_ids(uid, uid)
    if sys.platform != "linux":
        return
    if own_namespace:  # no further ones inside: they are where kernels were broken
        with open("/proc/sys/user/max_user_namespaces", "w", encoding="ascii") as file:
            file.write("0")
    for capability in range(64):
        with contextlib.suppress(OSError):  # beyond the last one, or not ours to drop
            _prctl("prctl", _CAPBSET_DROP, capability)
    header, none = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    _do("giving up capabilities", "capset", header, none)
    _prctl("no_new_privs", _NO_NEW_PRIVS, 1)
    die_with_the_parent()  # a change of user had cleared it


def landlock(view):
    """Refuses this process all files but those of the view, TCP, and signals to others.

    What the kernel's Landlock does not know yet stays open; see `landlock_knows`.

    Args:
        view: as for `new_root`; "write" are folders that exist.
    """
    abi = _landlock_abi()
    every = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1
    sizes = {1: 8, 2: 8, 3: 8, 4: 16, 5: 16}
    rules = struct.pack("=QQQ", every, 3, 3)[: sizes.get(abi, 24)]
    ruleset = _do("landlock", "syscall", _SYS_LANDLOCK, rules, len(rules), 0)
    hidden = {path for kind, path, _ in view if kind == "hide"}
    for kind, path, _ in view:
        if kind == "read":
            for each in _around(path, hidden):
                _allow(ruleset, each, 0b1101 & every)
        elif kind == "write":
            _allow(ruleset, path, every)
        elif kind == "text":  # the machine's own: it is as public
            _allow(ruleset, path, 0b100)
    for name in _DEVICES:
        _allow(ruleset, f"/dev/{name}", 0b110)
    # Not all of /proc: the command lines of other processes are nobody's business.
    for name in (str(os.getpid()), "cpuinfo", "meminfo", "stat", "filesystems", "sys"):
        _allow(ruleset, f"/proc/{name}", 0b1100)
    _do("landlock", "syscall", _SYS_LANDLOCK + 2, ruleset, 0)
    os.close(ruleset)


def _landlock_abi():
    return _do("landlock", "syscall", _SYS_LANDLOCK, None, 0, 1)


def landlock_knows():
    """What this kernel's Landlock restricts, in words."""
    abi = _landlock_abi()
    return "files" + ", signals to others" * (abi >= 6) + "; seccomp: sockets, rights of files"


def _around(path, hidden):
    """A path, or what lies in it beside the hidden ones: Landlock allows, and cannot take away."""
    if path in hidden:
        return
    if not any(each.startswith(path.rstrip("/") + "/") for each in hidden):
        yield path
        return
    for entry in os.listdir(path):
        yield from _around(os.path.join(path, entry), hidden)


def _allow(ruleset, path, rights):
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:  # a dangling link
        return
    try:
        if not os.path.isdir(path):
            rights &= 0b111 | 1 << 14 | 1 << 15  # what applies to a file
        beneath = struct.pack("=Qi", rights, descriptor)
        what = f"landlock rule for {path}"
        _do(what, "syscall", _SYS_LANDLOCK + 1, ruleset, 1, beneath, 0)
    finally:
        os.close(descriptor)


def limit(memory, file_size, processes):
    """Limits that the kernel keeps, on this process and all that it starts.

    Args:
        memory: bytes of data of a process (RLIMIT_DATA: mappings of files cost nothing).
        file_size: bytes of the largest file that may be written.
        processes: how many processes and threads there may be.
    """
    import resource

    for name, most in (
        ("RLIMIT_DATA", memory),
        ("RLIMIT_FSIZE", file_size),
        ("RLIMIT_NPROC", processes),
        ("RLIMIT_NOFILE", 1024),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_MSGQUEUE", 0),
    ):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # not on this system
            resource.setrlimit(getattr(resource, name), (most, most))
    # Should memory run out all the same, this process is the one to go, not the instructor's.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
