"""A training that can be watched from outside and killed, and what becomes of it uninterrupted."""

import json
from pathlib import Path

from labelmill.training.loop import train
from tests.support.models import save_tiny
from tests.support.process import Command, Ended, command
from tests.support.training import STILL, Desk, job_of, ready, reviews, write_rows

SOON = 600.0  # seconds; a loaded machine takes its time
_EPOCHS = 12
BASE = {
    "optim": "sgd",
    "learning_rate": 0.2,
    "num_train_epochs": _EPOCHS,
    "max_grad_norm": 0.0,
    "save_total_limit": 2,  # so that checkpoints stay
}


class KilledTraining:
    """A training, and what becomes of it uninterrupted."""

    def __init__(self, directory: Path) -> None:
        start = save_tiny(directory / "start", "bert", "AutoModelForMaskedLM")
        path = write_rows(directory / "rows.parquet", reviews(60))
        data = {"train": path, "validation_fraction": 0.2}
        self.reference = Desk(directory / "reference")
        for name, workers in (("reference", 1), ("trained", 2)):
            folder = directory / name
            folder.mkdir(exist_ok=True)
            batch = {"per_device_train_batch_size": 8 // workers}
            job = job_of(
                folder, "text-classification", start, data, model={"config": STILL},
                training=BASE | batch,
                resources={"workers": workers, "gpus_per_worker": 0, "cpus_per_worker": 1},
            )  # fmt: skip
            if name == "reference":
                train(ready(job).recipe, self.reference)
        self.job = directory / "trained" / "job.yaml"
        self.place = directory / "trained" / "model"
        self._kept = directory / "trained" / "model.training" / "checkpoints"

    def kept(self) -> int:
        """The step of the last checkpoint that Ray knows."""
        snapshot = self._kept / "checkpoint_manager_snapshot.json"
        if not snapshot.exists():
            return 0
        states = self._kept.glob("checkpoint_*/trainer_state.json")
        return max((json.loads(path.read_text())["global_step"] for path in states), default=0)

    def wait_for(self, running: Command, step: int) -> None:
        running.wait_until(lambda: self.kept() >= step, SOON)

    def run(self, *arguments: str) -> Ended:
        with command("train", str(self.job), *arguments) as running:
            return running.end(SOON)
