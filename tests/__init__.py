"""The tests.

They import OpenVINO and nncf themselves, which would report it over the network and wait for an
answer: a conversion took three times as long. So their telemetry cannot be imported, here and in
the processes that tests start with code of theirs; the engine's own care is tested without this.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
