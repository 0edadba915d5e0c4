"""A rank that trains, unless it is rank 1, which comes up and then never joins in. Run by the stall test."""

import os
import sys
import time

from clickweave.launch.horovod_comm import HorovodComm
from clickweave.launch.rank_main import main

if os.environ["HOROVOD_RANK"] == "1":
    HorovodComm()
    time.sleep(600)
assert len(sys.argv) == 2
main()
