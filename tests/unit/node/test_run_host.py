"""The run host, as a real process against a small real yard."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def statuses(yard):
    return [s["status"] for s in yard.statuses]


def test_a_script_that_ends_well_completes_with_its_log_outputs_and_machine(make_run, small_yard):
    run = make_run(
        {
            "train.py": "import os, sys, pathlib\n"
            "print('hello', sys.argv[1:])\n"
            "pathlib.Path('outputs/model.txt').write_text('weights')\n"
            "pathlib.Path(os.environ['AZUREML_LOGDIRECTORY_PATH'], 'extra.log').write_text('more')\n"
        },
        arguments=["--alpha", "0.1"],
    )
    assert run.start().wait(20) == 0
    assert statuses(small_yard) == ["Starting", "Running", "Finalizing", "Completed"]
    assert small_yard.statuses[-1]["exit_code"] == 0
    assert small_yard.statuses[1]["machine"]["cores"] >= 1
    assert small_yard.log() == "hello ['--alpha', '0.1']\n"
    assert small_yard.log("logs/extra.log") == "more"
    assert b"system/cpu_percent" in small_yard.journal("system")
    assert small_yard.file("outputs/model.txt") == b"weights"
    assert small_yard.file("user_logs/std_log.txt") == b"hello ['--alpha', '0.1']\n"
    assert small_yard.statuses[-1]["warnings"] == []
    assert run.exit["told"] is True


def test_a_failing_script_is_told_with_its_line_and_traceback(make_run, small_yard):
    run = make_run(
        {
            "train.py": "import lib\n\nlib.f()\n",
            "lib.py": "def f():\n    raise ValueError('no such column')\n",
        }
    )
    run.start().wait(20)
    last = small_yard.statuses[-1]
    assert (last["status"], last["exit_code"]) == ("Failed", 1)
    assert last["error"]["line"] == "lib.py:2: ValueError: no such column"
    assert "line 3, in <module>" in last["error"]["traceback"]
    assert "lib.py:2: ValueError: no such column" in last["error"]["message"]


def test_a_script_s_name_is_never_an_option_of_python_s(make_run, small_yard):
    make_run({"-c.py": "print('ran')"}, script="-c.py").start().wait(20)
    assert small_yard.log() == "ran\n"


def test_an_exit_code_is_kept(make_run, small_yard):
    make_run({"train.py": "print('enough'); raise SystemExit(3)"}).start().wait(20)
    last = small_yard.statuses[-1]
    assert (last["status"], last["exit_code"], last["error"]["code"]) == ("Failed", 3, "UserError")
    assert "exit code 3" in last["error"]["message"]


def test_a_signal_is_named(make_run, small_yard):
    make_run({"train.py": "import os; os.kill(os.getpid(), 9)"}).start().wait(20)
    last = small_yard.statuses[-1]
    assert (last["status"], last["exit_code"]) == ("Failed", -9)
    assert "SIGKILL" in last["error"]["message"]
    assert "memory" in last["error"]["message"]


def test_a_missing_script_is_named_with_what_is_there(make_run, small_yard):
    make_run({"main.py": ""}, script="train.py").start().wait(20)
    assert statuses(small_yard)[-1] == "Failed"
    assert small_yard.statuses[-1]["error"]["message"].endswith("which holds: main.py.")


STUBBORN = (
    "import os, signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "child = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)'\n"
    "p = subprocess.Popen([sys.executable, '-c', child], start_new_session=True, stdout=subprocess.PIPE)\n"
    "p.stdout.readline()\n"
    "print('ready')\n"
)


def test_cancelling_ends_children_that_left_the_session_and_ignore_sigterm(make_run, small_yard, until):
    run = make_run({"train.py": STUBBORN + "time.sleep(600)\n"})
    host = run.start()
    until(lambda: "ready" in small_yard.log(), "the script to have a child")
    assert len(run.processes()) >= 2
    run.directory.cancel.touch()
    os.kill(host.pid, signal.SIGTERM)
    host.wait(20)
    assert statuses(small_yard)[-1] == "Canceled"
    assert run.processes() == set()


def test_a_cancel_that_came_before_the_run_host_keeps_the_script_from_starting(make_run, small_yard):
    run = make_run({"train.py": "print('began')"})
    run.directory.cancel.touch()
    run.start().wait(20)
    assert statuses(small_yard)[-1] == "Canceled"
    assert small_yard.statuses[-1]["reason"] == "Cancelled before the script began."
    assert "began" not in small_yard.log()


MARKED_FIRST = """
import subprocess, sys
from pathlib import Path
from modelyard.node.records import RunDir
from modelyard.node.supervision import Supervision
directory = RunDir(Path(sys.argv[1]))
directory.cancel.touch()
print(Supervision(directory, None).run(subprocess.Popen(["sleep", "600"])).status.value)
"""


def test_a_mark_left_before_a_signal_could_reach_the_host_is_seen_at_once(make_run):
    run = make_run({"train.py": ""})
    said = subprocess.check_output([sys.executable, "-c", MARKED_FIRST, str(run.directory.path)], timeout=20)
    assert said.split() == [b"Canceled"]


def test_the_yards_wish_to_cancel_is_heard_with_the_heartbeat(make_run, small_yard):
    small_yard.cancel_requested = True
    run = make_run({"train.py": "import time; time.sleep(600)"})
    run.start().wait(20)
    assert statuses(small_yard)[-1] == "Canceled"


def test_what_a_script_leaves_behind_is_ended(make_run, small_yard):
    run = make_run({"train.py": STUBBORN}, script="train.py")
    run.start().wait(20)
    assert statuses(small_yard)[-1] == "Completed"
    assert run.processes() == set()


def test_a_run_over_its_time_limit_is_ended_and_says_so(make_run, small_yard):
    run = make_run({"train.py": STUBBORN + "time.sleep(600)\n"}, max_duration_s=1.5)
    run.start().wait(20)
    last = small_yard.statuses[-1]
    assert (last["status"], last["error"]["code"]) == ("Failed", "TimedOut")
    assert "1.5 s" in last["reason"]
    assert run.processes() == set()


CHATTY = (
    "import os, sys, time\n"
    "journal = os.open(os.path.join(os.environ['MODELYARD_JOURNAL_DIR'], os.environ['AZUREML_RUN_ID'] + '.jsonl'),"
    " os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
    'def log(i): os.write(journal, b\'{"k":"m","n":"loss","v":%d,"t":1}\\n\' % i)\n'
)


def values(journal: bytes) -> list[int]:
    return [json.loads(line)["v"] for line in journal.splitlines()]


def test_a_journal_arrives_whole_and_once_also_of_a_child_run(make_run, small_yard):
    script = CHATTY + (
        "for i in range(50000): log(i)\n"
        "open(os.path.join(os.environ['MODELYARD_JOURNAL_DIR'], 'exp_1_child.jsonl'), 'w').write('{\"v\":7}\\n')\n"
    )
    run = make_run({"train.py": script})
    run.start().wait(30)
    assert values(small_yard.journal(run.directory.run_id)) == list(range(50000))
    assert values(small_yard.journal("exp_1_child", "exp_1_child")) == [7]


def test_a_metric_that_the_yard_can_not_keep_is_a_warning_and_costs_no_other(make_run, small_yard):
    small_yard.passed_over = ["Line 1 is no journal record: x"]
    write = (
        "import os; open(os.environ['MODELYARD_JOURNAL_DIR'] + '/exp_1_0000abcd.jsonl', 'a').write('{}\\n')"
    )
    make_run({"train.py": write}).start().wait(20)
    assert small_yard.journal("exp_1_0000abcd") == b"{}\n"
    assert "exp_1_0000abcd.jsonl: Line 1 is no journal record: x" in small_yard.statuses[-1]["warnings"]


def test_nothing_is_lost_or_doubled_while_the_yard_is_away(make_run, small_yard, until, tmp_path):
    go = tmp_path / "go"
    script = CHATTY + (
        "log(0); print('first')\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        "for i in range(1, 2000): log(i)\n"
        "print('last')\n"
    )
    run = make_run({"train.py": script})
    host = run.start()
    until(lambda: small_yard.log() == "first\n", "the first line")
    small_yard.close()
    go.touch()
    until(lambda: not run.processes(), "the script to end without a yard")
    assert host.poll() is None
    small_yard.open()  # on another port, as a restarted yard may be
    assert host.wait(20) == 0
    assert small_yard.log() == "first\nlast\n"
    assert values(small_yard.journal(run.directory.run_id)) == list(range(2000))
    assert statuses(small_yard)[-1] == "Completed"


def test_a_full_disk_or_a_restart_of_the_yard_only_delays(make_run, small_yard, until):
    small_yard.away = True
    run = make_run({"train.py": "print('x')"})
    host = run.start()
    until(lambda: run.directory.verdict.exists(), "the script to end")
    small_yard.away = False
    assert host.wait(20) == 0
    assert statuses(small_yard) == ["Starting", "Running", "Finalizing", "Completed"]


def test_after_a_kill_of_the_host_another_ends_the_script_sends_the_rest_and_tells(
    make_run, small_yard, until
):
    run = make_run({"train.py": STUBBORN + CHATTY + "log(1); print('going')\ntime.sleep(600)\n"})
    host = run.start()
    until(lambda: "going" in small_yard.log(), "the script to go")
    small_yard.away = True
    os.kill(host.pid, signal.SIGKILL)
    host.wait()
    small_yard.away = False
    assert run.start("--recover").wait(20) == 0
    assert run.processes() == set()
    last = small_yard.statuses[-1]
    assert (last["status"], last["error"]["code"]) == ("Failed", "LostRunHost")
    assert small_yard.log() == "ready\ngoing\n"
    assert values(small_yard.journal(run.directory.run_id)) == [1]


def test_a_host_killed_after_the_script_ended_does_not_change_how_it_ended(make_run, small_yard, until):
    run = make_run({"train.py": "print('done')"})
    host = run.start()
    small_yard.away = True
    until(lambda: run.directory.verdict.exists(), "the script to end")
    os.kill(host.pid, signal.SIGKILL)
    host.wait()
    small_yard.away = False
    run.start("--recover").wait(20)
    assert statuses(small_yard)[-1] == "Completed"
    assert small_yard.log() == "done\n"


def test_a_second_host_leaves_a_run_that_has_one_alone(make_run, small_yard, until):
    run = make_run({"train.py": "import time; print('once'); time.sleep(600)"})
    run.start()
    until(lambda: small_yard.log() == "once\n", "the script to start")
    assert run.start().wait(20) == 0
    assert len(run.processes()) == 1


def test_a_stale_host_ends_its_script_and_tells_nothing(make_run, small_yard, until):
    run = make_run(
        {"train.py": "import time; print('once', flush=True)\nwhile True: time.sleep(0.05); print('on')"}
    )
    host = run.start()
    until(lambda: "once" in small_yard.log() and small_yard.status == "Running", "the script to start")
    small_yard.tokens.clear()
    assert host.wait(20) == 0
    assert run.processes() == set()
    assert statuses(small_yard) == ["Starting", "Running"]
    assert run.exit["stale"] is True


def test_a_host_whose_run_got_a_new_token_goes_on_with_it(make_run, small_yard, until):
    run = make_run({"train.py": "import time; print('once')\nwhile True: time.sleep(0.05); print('on')"})
    host = run.start()
    until(lambda: "once" in small_yard.log(), "the script to start")
    assignment = json.loads(run.directory.assignment.read_bytes())
    run.directory.assignment.write_text(json.dumps({**assignment, "token": "newer"}))
    small_yard.tokens = {"newer"}
    seen = len(small_yard.log())
    until(lambda: len(small_yard.log()) > seen + 100, "more of the log under the new token")
    run.directory.cancel.touch()
    os.kill(host.pid, signal.SIGTERM)
    host.wait(20)
    assert statuses(small_yard)[-1] == "Canceled"


def test_links_out_of_the_run_and_odd_files_are_left_out_with_a_warning(make_run, small_yard):
    script = (
        "import os\nos.symlink('/etc/passwd', 'outputs/stolen')\nos.mkfifo('outputs/pipe')\n"
        "open('outputs/real', 'w').write('x')\nos.symlink('real', 'outputs/alias')\nos.symlink('/etc', 'outputs/dir')\n"
    )
    make_run({"train.py": script}).start().wait(20)
    assert statuses(small_yard)[-1] == "Completed"
    assert sorted(p for p in small_yard.files if p.startswith("outputs/")) == [
        "outputs/alias",
        "outputs/real",
    ]
    warnings = " ".join(small_yard.statuses[-1]["warnings"])
    assert all(name in warnings for name in ("stolen", "pipe", "dir"))


@pytest.mark.parametrize(
    ("script", "kept", "warning"),
    [
        ("os.mkdir('mine'); open('mine/a', 'w'); os.symlink('mine', 'outputs')", ["outputs/a"], ""),
        ("os.symlink('/etc', 'outputs')", [], "code/outputs is a link out of the run and was left out"),
        ("open('outputs', 'w')", [], "code/outputs is not a folder and was left out"),
    ],
)
def test_a_script_that_replaced_its_outputs_folder_is_told_what_became_of_it(
    make_run, small_yard, script, kept, warning
):
    make_run({"train.py": f"import os; os.rmdir('outputs'); {script}"}).start().wait(20)
    assert [p for p in small_yard.files if p.startswith("outputs/")] == kept
    assert warning in " ".join(small_yard.statuses[-1]["warnings"])


def test_a_log_that_is_truncated_goes_on_being_sent(make_run, small_yard, until, tmp_path):
    go = tmp_path / "go"
    script = (
        "import os, time\nopen('logs/a.log', 'w').write('first part\\n')\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        "open('logs/a.log', 'w').write('second\\n')\n"
    )
    run = make_run({"train.py": script})
    host = run.start()
    until(lambda: small_yard.log("logs/a.log") == "first part\n", "the first part")
    go.touch()
    host.wait(20)
    assert small_yard.log("logs/a.log") == "first part\nsecond\n"
    assert small_yard.file("logs/a.log") == b"second\n"


def test_the_script_sees_v1s_variables_and_not_the_yards_home(make_run, small_yard):
    run = make_run(
        {"train.py": "import os, json; print(json.dumps(dict(os.environ)))"}, variables={"MINE": "1"}
    )
    run.start(MODELYARD_HOME="/nowhere").wait(20)
    seen = json.loads(small_yard.log())
    assert seen["AZUREML_RUN_ID"] == run.directory.run_id
    assert seen["AZUREML_RUN_TOKEN"] == "token"
    assert seen["MINE"] == "1"
    assert Path(seen["AZUREML_OUTPUT_DIRECTORY"]).name == "outputs"
    assert "MODELYARD_HOME" not in seen


def test_mlflow_in_the_script_goes_on_with_the_run(make_run, small_yard):
    run = make_run({"train.py": "import os, json; print(json.dumps(dict(os.environ)))"})
    run.start(MLFLOW_TRACKING_URI="http://shell-of-the-agent").wait(20)
    seen = {k: v for k, v in json.loads(small_yard.log()).items() if k.startswith("MLFLOW_")}
    assert seen["MLFLOW_TRACKING_URI"].endswith("/mlflow/ws")
    assert "shell" not in seen["MLFLOW_TRACKING_URI"]
    assert seen["MLFLOW_TRACKING_TOKEN"] == "token"
    assert seen["MLFLOW_RUN_ID"] == run.directory.run_id
    assert "MLFLOW_EXPERIMENT_ID" in seen


def test_a_script_with_an_mlflow_server_of_its_own_gets_no_token_of_ours(make_run, small_yard):
    run = make_run(
        {"train.py": "import os, json; print(json.dumps(dict(os.environ)))"},
        variables={"MLFLOW_TRACKING_URI": "http://elsewhere"},
    )
    run.start().wait(20)
    seen = json.loads(small_yard.log())
    assert seen["MLFLOW_TRACKING_URI"] == "http://elsewhere"
    assert "MLFLOW_TRACKING_TOKEN" not in seen
    assert "MLFLOW_RUN_ID" not in seen


def test_a_line_is_in_the_yard_soon_after_it_was_printed(make_run, small_yard, until):
    run = make_run({"train.py": "import time\nprint(time.time())\ntime.sleep(600)"})
    host = run.start()
    until(lambda: small_yard.log().endswith("\n"), "the line")
    assert (
        time.time() - float(small_yard.log()) < 2.0
    )  # a bound for a busy machine; the benchmark has the figure
    os.kill(host.pid, signal.SIGTERM)
    host.wait(20)
    assert statuses(small_yard)[-1] == "Failed"
