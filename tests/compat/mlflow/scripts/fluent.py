"""What a script does with MLflow, of 1.30 or of 3: `fluent.py URI OUT` writes down what it found afterwards."""

import json
import pathlib
import sys
import tempfile

import mlflow
import mlflow.models
import mlflow.pyfunc
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

IS_NEW = int(mlflow.__version__.split(".")[0]) >= 3


class Doubler(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [2 * x for x in model_input["x"]]


def log(client):
    with mlflow.start_run(run_name="top") as run:
        mlflow.log_param("a", 1)
        mlflow.log_params({"b": 2, "c": "x"})
        mlflow.log_metric("m", 0.5, step=1)
        mlflow.log_metrics({"m": 0.75, "n": 1}, step=2)
        mlflow.set_tag("t", "1")
        mlflow.set_tags({"u": "2", "gone": "3"})
        mlflow.delete_tag("gone")
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory, "hello wörld.txt")
            file.write_text("hello")
            mlflow.log_artifact(str(file), "sub/dir")
            mlflow.log_artifacts(directory, "many")
        mlflow.log_dict({"k": 1}, "d.json")
        mlflow.log_text("text", "t/t.txt")
        if IS_NEW:
            mlflow.log_table({"x": [1, 2]}, "table.json")
            mlflow.log_metric("gone", 1)
        with mlflow.start_run(nested=True, run_name="child"):
            mlflow.log_metric("m", 3)
        name = {"name": "model"} if IS_NEW else {"artifact_path": "model"}
        logged = mlflow.pyfunc.log_model(
            python_model=Doubler(), pip_requirements=["mlflow"], registered_model_name="Doubler v1", **name
        )
    return run.info.run_id, logged.model_uri


def files_below(client, run_id, path=None):
    found = []
    for file in client.list_artifacts(run_id, path):
        found += files_below(client, run_id, file.path) if file.is_dir else [file.path]
    return sorted(found)


def answers(uri):
    import pandas

    model = mlflow.pyfunc.load_model(uri)
    return [float(x) for x in model.predict(pandas.DataFrame({"x": [1, 2]}))]


def registry(client, model_uri):
    found = {}
    second = mlflow.register_model(model_uri, "Doubler v1")
    found["second"] = second.version
    found["loaded"] = answers("models:/Doubler v1/2")
    client.transition_model_version_stage("Doubler v1", "1", "Production")
    client.transition_model_version_stage("Doubler v1", "2", "Production", archive_existing_versions=True)
    found["stages"] = {v.version: v.current_stage for v in client.search_model_versions("name='Doubler v1'")}
    found["by stage"] = answers("models:/Doubler v1/Production")
    client.set_model_version_tag("Doubler v1", "1", "k", "v")
    client.set_registered_model_tag("Doubler v1", "team", "x")
    found["tags"] = [
        client.get_model_version("Doubler v1", "1").tags,
        client.get_registered_model("Doubler v1").tags,
    ]
    if IS_NEW:
        client.set_registered_model_alias("Doubler v1", "champion", "1")
        found["by alias"] = answers("models:/Doubler v1@champion")
        found["aliases"] = client.get_registered_model("Doubler v1").aliases
        client.delete_registered_model_alias("Doubler v1", "champion")
    found["description"] = client.update_model_version("Doubler v1", "1", "words").description
    client.delete_model_version("Doubler v1", "1")
    try:
        client.get_model_version("Doubler v1", "1")
    except MlflowException as error:
        found["deleted"] = error.error_code
    try:
        client.create_registered_model("Doubler v1")
    except MlflowException as error:
        found["twice"] = error.error_code
    found["names"] = [m.name for m in client.search_registered_models("name ILIKE 'doubler%'")]
    return found


def main():
    mlflow.set_tracking_uri(sys.argv[1])
    client = MlflowClient()
    mlflow.set_experiment("fluent")
    run_id, model_uri = log(client)
    run = client.get_run(run_id)
    with tempfile.TemporaryDirectory() as directory:
        local = pathlib.Path(
            mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="sub", dst_path=directory)
        )
        downloaded = {str(p.relative_to(local)): p.read_text() for p in local.rglob("*.txt")}
    model_files = files_below(client, run_id, "model")
    found = {
        "status": run.info.status,
        "params": run.data.params,
        "metrics": run.data.metrics,
        "history": [[m.step, m.value] for m in client.get_metric_history(run_id, "m")],
        "tags": {k: v for k, v in run.data.tags.items() if not k.startswith("mlflow.")},
        "children": len(
            client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'")
        ),
        "found": sorted(
            mlflow.search_runs([run.info.experiment_id], "metrics.m >= 0.75")["tags.mlflow.runName"]
        ),
        "files": files_below(client, run_id),
        "model has": sorted({"model/MLmodel", "model/requirements.txt"} & set(model_files)),
        "downloaded": downloaded,
        "predicted": answers(model_uri),
        "registry": registry(client, model_uri),
    }
    pathlib.Path(sys.argv[2]).write_text(json.dumps(found, indent=1, sort_keys=True))


main()
