"""Answers requests with the registered model: {"data": [[ten numbers], ...]} gives one prediction for each row."""

import json

import joblib

from azureml.core.model import Model


def init():
    global model
    model = joblib.load(Model.get_model_path("quickstart-diabetes"))


def run(raw_data):
    rows = json.loads(raw_data)["data"]
    return model.predict(rows).tolist()
