"""A training that can be watched from outside and killed, and what becomes of it uninterrupted."""

import json
from pathlib import Path

from labelmill.errors import StorageError
from labelmill.storage import open_store
from labelmill.training.checkpointing import STATE
from labelmill.training.loop import train
from tests.support.models import save_tiny
from tests.support.process import Command, Ended, command
from tests.support.training import STILL, Desk, job_of, ready, reviews, write_rows

SOON = 600.0  # seconds; a loaded machine takes its time
BASE = {
    "optim": "sgd",
    "learning_rate": 0.2,
    "max_grad_norm": 0.0,
    "save_total_limit": 2,  # so that checkpoints stay
    "report_to": ["tensorboard"],
}


class KilledTraining:
    """A training, and what becomes of it uninterrupted.

    Its result is to be at `result`, a path or a URL; None: in the directory.
    """

    def __init__(
        self, directory: Path, result: str | None = None, *, workers: int = 2, epochs: int = 12
    ) -> None:
        start = save_tiny(directory / "start", "bert", "AutoModelForMaskedLM")
        path = write_rows(directory / "rows.parquet", reviews(60))
        data = {"train": path, "validation_fraction": 0.2}
        self.reference = Desk(directory / "reference")
        self.place = directory / "trained" / "model"
        self.result = result or str(self.place)
        for name, count in (("reference", 1), ("trained", workers)):
            folder = directory / name
            folder.mkdir(exist_ok=True)
            changed = {"num_train_epochs": epochs, "per_device_train_batch_size": 8 // count}
            job = job_of(
                folder, "text-classification", start, data, model={"config": STILL},
                training=BASE | changed,
                resources={"workers": count, "gpus_per_worker": 0, "cpus_per_worker": 1},
                output={"path": self.result if name == "trained" else str(folder / "model")},
            )  # fmt: skip
            if name == "reference":
                train(ready(job).recipe, self.reference)
        self.job = directory / "trained" / "job.yaml"
        self._kept = open_store(f"{self.result}.training/checkpoints")

    def kept(self) -> int:
        """The step of the last checkpoint that Ray knows."""
        if self._kept.kind("checkpoint_manager_snapshot.json") is None:
            return 0
        try:
            names = [entry.path for entry in self._kept.list() if entry.path.endswith(STATE)]
            states = [json.loads(self._kept.open(name).read()) for name in names]
        except (StorageError, ValueError):  # one went meanwhile, or is being written
            return 0
        return max((state["global_step"] for state in states), default=0)

    def wait_for(self, running: Command, step: int) -> None:
        running.wait_until(lambda: self.kept() >= step, SOON)

    def kill_a_worker_and_then_all(self) -> None:
        """Begin it; each time a checkpoint more is there."""
        with command("train", str(self.job)) as running:
            self.wait_for(running, 1)
            running.named("RayTrainWorker")[0].kill()
            self.wait_for(running, self.kept() + 1)
            running.kill()

    def run(self, *arguments: str) -> Ended:
        with command("train", str(self.job), *arguments) as running:
            return running.end(SOON)
