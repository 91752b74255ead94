"""From raw official figures to tables: computing hubs and the upgrading of regional industrial chains."""

import os

# One thread per BLAS, set before numpy loads: the same bytes whatever the number of cores.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"

# Who started this process, noted before the slow imports: a stage whose build is killed must notice.
PARENT = os.getppid()
