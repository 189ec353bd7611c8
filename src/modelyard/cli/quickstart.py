"""modelyard quickstart: the whole way from a training script to a scored web service, on real data."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from modelyard.cli.failures import FAILED, Failure
from modelyard.cli.lazy import YardCommand
from modelyard.cli.output import waiting, wants_json, when

EXPERIMENT = "quickstart"
MODEL = "quickstart-diabetes"
ENDPOINT = "quickstart-diabetes"


class Story:
    """Tells each step as it happens and how long it took. With `--json` on stderr: stdout is the object's alone."""

    def __init__(self, as_json: bool) -> None:
        self.file = sys.stderr if as_json else sys.stdout
        self.timings_s: dict[str, float] = {}
        self._step = 0

    def step(self, title: str) -> None:
        self._step += 1
        self.say(click.style(f"{self._step}. {title}", bold=True))

    def say(self, line: str) -> None:
        click.echo(line, file=self.file)

    def took(self, name: str, seconds: float) -> None:
        self.timings_s[name] = round(seconds, 3)


@click.command(cls=YardCommand)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object last, on stdout; the rest on stderr."
)
@click.option("--port", type=int, help="Port for a yard that has to be started. Default: 7070 or a free one.")
def quickstart(as_json: bool, port: int | None) -> None:
    """Start a yard, train, register, deploy and score on this machine.

    May be run again: it makes another run and version, and a new revision of the same web service.
    """
    as_json = as_json or wants_json()
    story = Story(as_json)
    # What scripts/quickstart took before it came here.
    story.took("install", float(os.environ.get("MODELYARD_QUICKSTART_INSTALL_S") or 0))
    url = _start_yard(story, port)
    workspace = _workspace()
    source = example_directory()
    run, metrics = _train(story, workspace, source)
    model = _register(story, workspace, run)
    service = _deploy(story, workspace, source, model)
    predictions, truth = _score(story, workspace, run, service)
    info = _run_info(workspace, run.id)
    result = {
        "run_id": run.id, "status": info.status.value, "metrics": metrics,
        "model": {"name": model.name, "version": model.version},
        "endpoint": {"name": ENDPOINT, "scoring_uri": service.scoring_uri},
        "predictions": predictions, "truth": truth, "timings_s": story.timings_s,
    }  # fmt: skip
    story.step("Done")
    story.say(f"   run       {url}{workspace._path('runs', run.id)}   (modelyard run show {run.id})")
    story.say(f"   endpoint  {service.scoring_uri}   (modelyard endpoint show {ENDPOINT})")
    story.say("   took      " + ", ".join(f"{name} {s:.2f} s" for name, s in story.timings_s.items()))
    if as_json:
        click.echo(json.dumps(result))


def example_directory() -> str:
    """The example's files: inside an installed wheel, or in the repository that this runs from."""
    package = Path(__file__).resolve().parent.parent
    for place in (
        package / "_bundle" / "examples" / "quickstart",
        package.parent.parent / "examples" / "quickstart",
    ):
        if (place / "train.py").is_file():
            return str(place)
    raise Failure(
        f"The example's files are not beside {package}: this modelyard is not installed completely.", FAILED
    )


def _workspace() -> Any:
    from modelyard.cli.connection import client
    from modelyard.workspace import DEFAULT_WORKSPACE, Workspace

    return Workspace._named(DEFAULT_WORKSPACE, client())


def _start_yard(story: Story, port: int | None) -> str:
    from modelyard.cli.yard import ensure_up

    story.step("A yard")
    begin = time.monotonic()
    url = ensure_up(port)
    story.took("up", time.monotonic() - begin)
    story.say(f"   answers at {url} ({story.timings_s['up']:.2f} s)")
    return url


def _train(story: Story, workspace: Any, source: str) -> tuple[Any, dict[str, Any]]:
    from modelyard.cli.run_files import STD_LOG, follow
    from modelyard.environments import Environment
    from modelyard.experiment import Experiment
    from modelyard.script_run_config import ScriptRunConfig

    story.step(f"A run: {os.path.join(source, 'train.py')} on compute 'local', in an environment of its own")
    environment = Environment.from_pip_requirements("quickstart", os.path.join(source, "requirements.txt"))
    config = ScriptRunConfig(
        source,
        script="train.py",
        arguments=["--held-back", 8],
        compute_target="local",
        environment=environment,
    )
    begin, begun_at = time.monotonic(), time.time()
    first_line: list[float] = []

    watched = contextlib.ExitStack()  # a first run builds its environment: half a minute without a line

    def write(piece: bytes) -> None:
        if not first_line:
            watched.close()
            first_line.append(time.monotonic())
        for line in piece.decode("utf-8", "replace").splitlines():
            story.say(f"   │ {line}")

    run = Experiment(workspace, EXPERIMENT).submit(config, tags={"made-by": "quickstart"})
    story.say(f"   {run.id} submitted at {when(begun_at)}; a first run builds its environment")
    with watched:
        watched.enter_context(waiting("Building the environment"))
        follow(workspace, run.id, STD_LOG, write)
    run.wait_for_completion(raise_on_error=False)
    info = _run_info(workspace, run.id)
    if info.status.value != "Completed":
        reason = (info.error.line or info.error.message) if info.error else info.status_reason
        raise Failure(f"Run {run.id} is {info.status.value}: {reason} (modelyard run show {run.id})", FAILED)
    story.took("environment", _build_seconds(info, begun_at))
    story.took("submit_to_first_line", (first_line[0] if first_line else time.monotonic()) - begin)
    story.took("train", (info.ended_at or 0) - (info.started_at or 0))
    metrics = run.get_metrics()
    story.say(f"   {info.status.value}; its metrics:")
    for name, value in sorted(metrics.items()):
        story.say(f"     {name:<12} {value}")
    return run, metrics


def _build_seconds(info: Any, begun_at: float) -> float:
    """How long this run's environment took to build; 0 when it was there already."""
    from modelyard.cli.connection import yard_wide
    from modelyard.wire.environments import BuildList

    builds = [
        b for b in yard_wide(BuildList, "environments", "builds").items
        if b.content_hash == info.environment_hash and b.started_at >= begun_at - 1 and b.finished_at
    ]  # fmt: skip
    return sum(((b.finished_at or 0) - b.started_at for b in builds), 0.0)


def _register(story: Story, workspace: Any, run: Any) -> Any:
    story.step("A registered model, from the run's outputs")
    model = run.register_model(
        MODEL, model_path="outputs/model.pkl", model_framework="ScikitLearn", tags={"data": "diabetes"}
    )
    story.say(f"   {model.name} version {model.version}")
    return model


def _deploy(story: Story, workspace: Any, source: str, model: Any) -> Any:
    from modelyard import errors
    from modelyard.endpoints import InferenceConfig, LocalWebservice
    from modelyard.environments import Environment
    from modelyard.models import Model

    story.step("A web service, with score.py")
    environment = Environment.from_pip_requirements("quickstart", os.path.join(source, "requirements.txt"))
    inference = InferenceConfig(entry_script="score.py", source_directory=source, environment=environment)
    begin = time.monotonic()
    service = Model.deploy(
        workspace, ENDPOINT, [model], inference_config=inference,
        deployment_config=LocalWebservice.deploy_configuration(), overwrite=True,
    )  # fmt: skip
    try:
        service.wait_for_deployment(show_output=False)
    except errors.WebserviceException as error:
        raise Failure(f"The web service did not come up: {error.message}", FAILED) from error
    story.took("deploy_to_healthy", time.monotonic() - begin)
    story.say(f"   {service.state} at {service.scoring_uri} ({story.timings_s['deploy_to_healthy']:.2f} s)")
    return service


def _score(story: Story, workspace: Any, run: Any, service: Any) -> tuple[list[float], list[float]]:
    """Send the rows that training held back, by plain HTTP as any program would."""
    import tempfile
    import urllib.request

    story.step("Scores of rows that training has not seen, over HTTP")
    with tempfile.TemporaryDirectory() as directory:
        place = os.path.join(directory, "held_back.json")
        run.download_file("outputs/held_back.json", place)
        held_back = json.loads(Path(place).read_text("utf-8"))
    body = json.dumps({"data": held_back["data"]}).encode()
    request = urllib.request.Request(  # noqa: S310  # the address of our own web service
        service.scoring_uri, body, {"Content-Type": "application/json"}
    )
    begin = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # as above
            predictions = json.load(answer)
    except (OSError, ValueError) as error:
        raise Failure(f"{service.scoring_uri} did not answer the rows: {error}", FAILED) from error
    story.took("score", time.monotonic() - begin)
    truth = held_back["truth"]
    if len(predictions) != len(truth):
        raise Failure(f"{len(truth)} rows were sent, {len(predictions)} predictions came back", FAILED)
    story.say("     predicted    truth")
    for predicted, true in zip(predictions, truth, strict=True):
        story.say(f"     {predicted:9.1f}  {true:7.1f}")
    return predictions, truth


def _run_info(workspace: Any, run_id: str) -> Any:
    from modelyard.cli.connection import ask
    from modelyard.wire.runs import RunInfo

    return ask(workspace, RunInfo, "runs", run_id)
