"""Run by a real MLflow's Python: fills the store at argv[1] with what an import has to bring. Works with 1.30 and 3.x."""

import sys
import tempfile
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
import mlflow  # noqa: E402
from mlflow.entities import Metric, Param, RunTag  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

uri, root = sys.argv[1], sys.argv[2]
mlflow.set_tracking_uri(uri)
mlflow.set_registry_uri(uri)
client = MlflowClient()
where = {} if uri.startswith("http") else {"artifact_location": Path(root, "artifacts", "one").as_uri()}
experiment = client.create_experiment("/Users/ann/first experiment", **where)
client.set_experiment_tag(experiment, "team", "vision")
run = client.create_run(experiment, start_time=1_600_000_000_000, tags={"mlflow.note.content": "best so far"})
run_id = run.info.run_id
client.set_tag(run_id, "mlflow.runName", "calm-owl")
points = [Metric("loss", 1 / (step + 1), 1_600_000_000_000 + step, step) for step in range(500)]
points += [Metric("odd", value, 1_600_000_001_000 + at, at) for at, value in enumerate([float("nan"), 1.5])]
points += [Metric("val/acc", 0.5, 1_600_000_002_000, 0), Metric("val/acc", 0.75, 1_600_000_002_001, 7)]
for start in range(0, len(points), 200):
    client.log_batch(run_id, metrics=points[start : start + 200])
client.log_batch(run_id, params=[Param("lr", "0.1"), Param("deep/er", "yes")], tags=[RunTag("kind", "ünï")])
with tempfile.TemporaryDirectory() as folder:
    Path(folder, "model").mkdir()
    Path(folder, "model", "MLmodel").write_text("flavors: {}\n")
    Path(folder, "model", "weights.bin").write_bytes(bytes(range(256)) * 40)
    Path(folder, "notes.txt").write_text("hello")
    client.log_artifacts(run_id, folder)
child = client.create_run(experiment, start_time=1_600_000_100_000, tags={"mlflow.parentRunId": run_id})
client.log_metric(child.info.run_id, "loss", 3.0, timestamp=1_600_000_100_001, step=2)
client.set_terminated(child.info.run_id, "FAILED", 1_600_000_200_000)
client.set_terminated(run_id, "FINISHED", 1_600_000_300_000)
going_on = client.create_run(experiment, start_time=1_600_000_400_000)
client.log_metric(going_on.info.run_id, "loss", 9.0, timestamp=1_600_000_400_500, step=0)
gone = client.create_run(experiment, start_time=1_600_000_500_000)
client.set_terminated(gone.info.run_id, "KILLED", 1_600_000_600_000)
client.delete_run(gone.info.run_id)
client.create_experiment("second")
client.delete_experiment(client.create_experiment("deleted"))
if uri.startswith(("sqlite", "http")) or not mlflow.__version__.startswith("1."):
    client.create_registered_model("net")
    client.set_registered_model_tag("net", "owner", "ann")
    artifacts = client.get_run(run_id).info.artifact_uri
    for _ in range(2):
        client.create_model_version("net", f"{artifacts}/model", run_id)
    client.set_model_version_tag("net", "2", "checked", "yes")
    client.transition_model_version_stage("net", "1", "Production")
    if hasattr(client, "set_registered_model_alias"):
        client.set_registered_model_alias("net", "champion", "2")
print(run_id, child.info.run_id, going_on.info.run_id, gone.info.run_id)
