"""System calls that a submission's process is refused, by a filter in the kernel (seccomp).

What a view of files and limits on resources leave open: memory that no limit counts (anonymous
shared mappings, memfd, System V), objects of the kernel that outlive a process, other processes'
priorities and limits, the core that it was given; and, where it has no file system and network of
its own, sockets and the rights, dates and attributes of files, which Landlock does not guard.
"""

import ctypes
import os
import struct

_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _AND, _EQUAL, _AT_LEAST, _ANSWER = 0x20, 0x54, 0x15, 0x35, 0x06
_EPERM, _EACCES, _ENOMEM, _ENOSYS, _ENOTSUP = 1, 13, 12, 38, 95
_SAY_YES = 0  # nothing happens, and the caller is told that it did: copying a file asks for these
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

# name: (number on x86-64, number on ARM, error); None where an architecture has no such call.
EVERYWHERE = {
    "memfd_create": (319, 279, _ENOSYS),
    "memfd_secret": (447, 447, _ENOSYS),
    "shmget": (29, 194, _ENOSYS),
    "semget": (64, 190, _ENOSYS),
    "msgget": (68, 186, _ENOSYS),
    "mq_open": (240, 180, _ENOSYS),
    "add_key": (248, 217, _ENOSYS),
    "request_key": (249, 218, _ENOSYS),
    "keyctl": (250, 219, _ENOSYS),
    "ptrace": (101, 117, _EPERM),
    "process_vm_readv": (310, 270, _EPERM),
    "process_vm_writev": (311, 271, _EPERM),
    "perf_event_open": (298, 241, _EPERM),
    "bpf": (321, 280, _EPERM),
    "userfaultfd": (323, 282, _EPERM),
    "io_uring_setup": (425, 425, _EACCES),
    "sched_setaffinity": (203, 122, _SAY_YES),
    "sched_setparam": (142, 118, _EPERM),
    "sched_setscheduler": (144, 119, _EPERM),
    "sched_setattr": (314, 274, _EPERM),
    "ioprio_set": (251, 30, _EPERM),
}
# Where files and network are the machine's.
ON_THE_MACHINE = {
    "socket": (41, 198, _EACCES),
    "chmod": (90, None, _SAY_YES),
    "fchmod": (91, 52, _SAY_YES),
    "fchmodat": (268, 53, _SAY_YES),
    "fchmodat2": (452, 452, _SAY_YES),
    "chown": (92, None, _SAY_YES),
    "fchown": (93, 55, _SAY_YES),
    "lchown": (94, None, _SAY_YES),
    "fchownat": (260, 54, _SAY_YES),
    "utime": (132, None, _SAY_YES),
    "utimes": (235, None, _SAY_YES),
    "futimesat": (261, None, _SAY_YES),
    "utimensat": (280, 88, _SAY_YES),
    "setxattr": (188, 5, _ENOTSUP),
    "lsetxattr": (189, 6, _ENOTSUP),
    "fsetxattr": (190, 7, _ENOTSUP),
    "removexattr": (197, 14, _ENOTSUP),
    "lremovexattr": (198, 15, _ENOTSUP),
    "fremovexattr": (199, 16, _ENOTSUP),
    "setxattrat": (463, 463, _ENOTSUP),
    "removexattrat": (466, 466, _ENOTSUP),
    "file_setattr": (469, 469, _ENOTSUP),
}


def _argument(number):
    """Where the lower half of an argument stands in what a filter sees."""
    return 16 + 8 * number


def _program(column, architecture, refused):
    """The filter as (code, jump if true, jump if false, value) lines."""
    lines = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, architecture),
        (_ANSWER, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
        (_AT_LEAST, 0, 1, 0x40000000),  # x86-64's other numbering
        (_ANSWER, 0, 0, _REFUSE | _EPERM),
    ]
    for *numbers, error in refused.values():
        if numbers[column] is not None:
            lines += [(_EQUAL, 0, 1, numbers[column]), (_ANSWER, 0, 0, _REFUSE | error)]
    mapping, priority, limits = ((9, 222), (141, 140), (302, 261))
    # Shared memory without a file: no limit on a process counts it.
    lines += [
        (_EQUAL, 0, 5, mapping[column]),
        (_LOAD, 0, 0, _argument(3)),
        (_AND, 0, 0, 0x21),
        (_EQUAL, 0, 1, 0x21),
        (_ANSWER, 0, 0, _REFUSE | _ENOMEM),
        (_ANSWER, 0, 0, _ALLOW),
    ]
    # The priority of this process alone, not of a group or of all that the user has.
    lines += [
        (_EQUAL, 0, 6, priority[column]),
        (_LOAD, 0, 0, _argument(0)),
        (_EQUAL, 0, 3, 0),
        (_LOAD, 0, 0, _argument(1)),
        (_EQUAL, 0, 1, 0),
        (_ANSWER, 0, 0, _ALLOW),
        (_ANSWER, 0, 0, _REFUSE | _EPERM),
    ]
    lines += [
        (_EQUAL, 0, 4, limits[column]),
        (_LOAD, 0, 0, _argument(0)),
        (_EQUAL, 0, 1, 0),
        (_ANSWER, 0, 0, _ALLOW),
        (_ANSWER, 0, 0, _REFUSE | _EPERM),
    ]
    return [*lines, (_ANSWER, 0, 0, _ALLOW)]


def refuse(on_the_machine):
    """Installs the filter on this process and all that it starts; `no_new_privs` must be set.

    Args:
        on_the_machine: whether files and network are the machine's own.

    Raises:
        OSError: if this kernel or processor has no such filter.
    """
    machine = os.uname().machine
    if machine not in _ARCHITECTURES:
        raise OSError(f"no filter for system calls of {machine} is known here")
    architecture, column = _ARCHITECTURES[machine]
    refused = EVERYWHERE | (ON_THE_MACHINE if on_the_machine else {})
    program = b"".join(
        struct.pack("=HBBI", *line) for line in _program(column, architecture, refused)
    )
    lines = ctypes.create_string_buffer(program, len(program))
    given = struct.pack("@HP", len(program) // 8, ctypes.addressof(lines))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(22, ctypes.c_long(2), given, ctypes.c_long(0), ctypes.c_long(0)) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"seccomp: {os.strerror(error)}")
