"""One thread for torch in every test: equal results on any machine, and no spinning beside other work."""

import os
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Who made a run is recorded here, and not in the settings of whoever runs the tests.
_own = tempfile.TemporaryDirectory(prefix="rationem-tests-")
os.environ["RATIONEM_CONFIG"] = _own.name
