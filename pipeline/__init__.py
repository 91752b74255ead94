"""From raw official figures to tables: computing hubs and the upgrading of regional industrial chains."""

import os

import psutil

# One thread per BLAS, set before numpy loads: the same bytes whatever the number of cores.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"


def _starters() -> tuple[int, ...]:
    """Return the parent of this process, and the parent of a shell that waits beside the one command it runs.

    Whether ``sh -c`` hands its process over to the command or waits differs between shells; DVC uses the system's.
    """
    parent = os.getppid()
    try:
        process = psutil.Process(parent)
        return (parent, process.ppid()) if process.cmdline()[1:2] in (["-c"], ["/c"]) else (parent,)
    except psutil.Error:
        return (parent,)


_STARTERS = _starters()  # noted before the slow imports: a stage whose build is killed must notice


def orphaned() -> bool:
    """Say whether a process that started this one has ended."""
    return _starters() != _STARTERS
