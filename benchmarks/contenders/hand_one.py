"""hand_one: the best hand-written loop in one process, PyTorch's threads on all cores."""

from benchmarks.contenders import whole
from benchmarks.contenders.pytorch_loop import PyTorchLoop
from benchmarks.setting import Setting


def main() -> None:
    """Label everything and tell."""
    setting = Setting.from_argv()
    loop = PyTorchLoop(setting, setting.cores)
    whole.label(setting, loop, loop.scores)


if __name__ == "__main__":
    main()
