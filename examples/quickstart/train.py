"""Train on the diabetes data of scikit-learn: ten measurements of a patient, and the disease a year later."""

import argparse
import json
import os

import joblib
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.model_selection import train_test_split

from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--held-back", type=int, default=8, help="rows kept for scoring the web service")
arguments = parser.parse_args()

run = Run.get_context()
X, y = load_diabetes(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0)
print(f"{len(X_train)} rows to learn from, {len(X_test)} to test with")

best = None
for step, alpha in enumerate([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0]):
    model = Ridge(alpha=alpha).fit(X_train, y_train)
    error = mean_squared_error(y_test, model.predict(X_test))
    run.log("alpha", alpha, step=step)
    run.log("mse", error, step=step)
    print(f"alpha {alpha:<6} mean squared error {error:.1f}")
    if best is None or error < best[0]:
        best = (error, alpha, model)

error, alpha, model = best
run.log("best_alpha", alpha)
run.log("best_mse", error)
run.log("r2", r2_score(y_test, model.predict(X_test)))
run.tag("algorithm", "ridge")

os.makedirs("outputs", exist_ok=True)
joblib.dump(model, "outputs/model.pkl")
with open("outputs/held_back.json", "w") as file:
    rows = arguments.held_back
    json.dump({"data": X_test[:rows].tolist(), "truth": y_test[:rows].tolist()}, file)
print(f"kept alpha {alpha}: outputs/model.pkl")
