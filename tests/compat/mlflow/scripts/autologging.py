"""Trains with each library under autologging and tells what MLflow's client finds afterwards: `autologging.py URI OUT`."""

import json
import math
import sys

import mlflow
import mlflow.models
import numpy as np
import pandas as pd

# Looking for a model's requirements starts a Python for each model, which says nothing about the server.
mlflow.models.infer_pip_requirements = lambda *args, **kwargs: ["mlflow"]

mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("autologging")
random = np.random.default_rng(0)
X = pd.DataFrame(random.normal(size=(60, 3)), columns=["a", "b", "c"])
Y = (X["a"] + X["b"] > 0).astype(int)


def sklearn():
    from sklearn.linear_model import LogisticRegression

    mlflow.sklearn.autolog(log_input_examples=True)
    model = LogisticRegression(max_iter=50).fit(X, Y)
    model.score(X, Y)
    return model


def search():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    mlflow.sklearn.autolog()
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(X, Y)


def xgboost():
    import xgboost

    mlflow.xgboost.autolog()
    data = xgboost.DMatrix(X, Y)
    xgboost.train(
        {"max_depth": 2, "nthread": 1}, data, num_boost_round=5, evals=[(data, "train")], verbose_eval=False
    )


def lightgbm():
    import lightgbm

    mlflow.lightgbm.autolog()
    data = lightgbm.Dataset(X, Y)
    lightgbm.train(
        {"num_leaves": 3, "num_threads": 1, "verbosity": -1}, data, num_boost_round=5, valid_sets=[data]
    )


def pytorch():
    import lightning
    import torch

    class Line(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def forward(self, rows):
            return self.layer(rows)

        def training_step(self, batch, _):
            loss = torch.nn.functional.mse_loss(self(batch[0]), batch[1])
            self.log("loss", loss, on_epoch=True)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    torch.manual_seed(0)
    rows = torch.tensor(X.to_numpy(), dtype=torch.float32)
    data = torch.utils.data.TensorDataset(rows, rows[:, :1])
    mlflow.pytorch.autolog()
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Line(), torch.utils.data.DataLoader(data, batch_size=20))


def everything_below(client, run_id, path=None):
    found = {}
    for file in client.list_artifacts(run_id, path):
        if file.is_dir:
            found.update(everything_below(client, run_id, file.path))
        else:
            found[file.path] = file.file_size
    return found


def number(key, value):
    if key.endswith("_time"):
        return "measured"
    return value if math.isfinite(value) else str(value)


def told(client, run_id):
    run = client.get_run(run_id)
    models = client.search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id = '{run_id}'"
    )
    return {
        "status": run.info.status,
        "params": run.data.params,
        "metrics": {k: number(k, v) for k, v in run.data.metrics.items()},
        "histories": {
            k: [[p.step, number(k, p.value)] for p in client.get_metric_history(run_id, k)]
            for k in run.data.metrics
        },
        "tags": sorted(run.data.tags),
        "inputs": [
            [i.dataset.name, i.dataset.digest, [t.value for t in i.tags]] for i in run.inputs.dataset_inputs
        ],
        "artifacts": sorted(everything_below(client, run_id)),
        "models": [
            {
                "name": model.name,
                "type": model.model_type,
                "status": str(model.status),
                "params": model.params,
                "metrics": {m.key: number(m.key, m.value) for m in model.metrics or []},
                "files": sorted(files_of(model.artifact_location)),
            }
            for model in models
        ],
        "outputs": len(run.outputs.model_outputs) if run.outputs else 0,
        "children": len(
            client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'")
        ),
    }


def files_of(root, path=""):
    from mlflow.artifacts import list_artifacts

    found = []
    for file in list_artifacts(f"{root}/{path}" if path else root):
        # Named from the root that was asked, or from the directory in it.
        inside = f"{path}/{file.path.rsplit('/', 1)[-1]}".lstrip("/")
        found += files_of(root, inside) if file.is_dir else [inside]
    return found


def main():
    client = mlflow.MlflowClient()
    results = {}
    for train in (sklearn, search, xgboost, lightgbm, pytorch):
        with mlflow.start_run(run_name=train.__name__) as run:
            train()
        results[train.__name__] = told(client, run.info.run_id)
        model = mlflow.last_logged_model()
        loaded = mlflow.pyfunc.load_model(f"models:/{model.model_id}")
        data = X.to_numpy(dtype="float32") if train is pytorch else X
        results[train.__name__]["predicted"] = np.asarray(loaded.predict(data)).ravel()[:5].round(5).tolist()
        mlflow.autolog(disable=True, silent=True)
    with open(sys.argv[2], "w") as file:
        json.dump(results, file, indent=1, sort_keys=True)


main()
