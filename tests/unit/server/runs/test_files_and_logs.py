from __future__ import annotations

import threading

from run_yard import RunYard, W

from modelyard.wire.artifacts import FileEntry


def log(yard: RunYard, content: bytes, offset: int, path: str = "user_logs/std_log.txt") -> object:
    return yard.call("POST", f"{W}/runs/r/logs/{path}?offset={offset}", content=content)


def read(
    yard: RunYard, offset: int = 0, wait_s: float = 0, path: str = "user_logs/std_log.txt"
) -> tuple[bytes, int, str]:
    answer = yard.http.get(
        f"{W}/runs/r/logs/{path}?offset={offset}&wait_s={wait_s}", headers={"authorization": "Bearer owner"}
    )
    assert answer.status_code == 200, answer.text
    return answer.content, int(answer.headers["x-log-offset"]), answer.headers["x-log-complete"]


def paths(yard: RunYard, *names: str) -> list[str]:
    return [e.path for name in names for e in yard.runs.files_under(yard.workspace_id, "r", name)]


def test_a_file_is_added_listed_and_downloaded(yard: RunYard) -> None:
    yard.start("r")
    yard.add_files("r", yard.keep("outputs/model.pkl", b"0123456789"))
    assert [(f["path"], f["size"], f["live"]) for f in yard.call("GET", f"{W}/runs/r/files")["items"]] == [
        ("outputs/model.pkl", 10, False)
    ]
    headers = {"authorization": "Bearer owner", "range": "bytes=2-4"}
    part = yard.http.get(f"{W}/runs/r/files/outputs/model.pkl", headers=headers)
    assert (part.status_code, part.content) == (206, b"234")


def test_the_same_file_again_is_fine_and_another_in_its_place_is_refused(yard: RunYard) -> None:
    yard.start("r")
    one, two = yard.keep("a.txt", b"1"), yard.keep("a.txt", b"22")
    yard.add_files("r", one)
    assert len(yard.add_files("r", one)["items"]) == 1
    refused = yard.add_files("r", two, yard.keep("b.txt", b"b"))
    assert (refused.status, refused.code) == (409, "file_exists")
    assert [f["path"] for f in yard.call("GET", f"{W}/runs/r/files")["items"]] == ["a.txt"]
    assert yard.add_files("r", two, overwrite=True)["items"][0]["size"] == 2


def test_a_file_can_t_lie_below_a_file(yard: RunYard) -> None:
    yard.start("r")
    yard.add_files("r", yard.keep("a/b", b"1"))
    assert yard.add_files("r", yard.keep("a/b/c", b"1")).code == "file_exists"
    assert yard.add_files("r", yard.keep("a", b"1")).code == "file_exists"


def test_bytes_must_be_here_and_paths_must_be_plain(yard: RunYard) -> None:
    yard.start("r")
    assert yard.add_files("r", FileEntry("a", "0" * 64, 1)).code == "blobs_missing"
    assert yard.add_files("r", FileEntry("../a", yard.keep("x", b"1").hash, 1)).code == "bad_path"


def test_a_file_that_is_not_there_is_answered_by_what_is_near(yard: RunYard) -> None:
    yard.start("r")
    yard.add_files("r", yard.keep("outputs/model.pkl", b"1"))
    missing = yard.call("GET", f"{W}/runs/r/files/outputs/model.pickle")
    assert (missing.code, "'outputs/model.pkl'" in missing.detail) == ("no_such_file", True)


def test_a_model_is_registered_from_a_file_or_a_folder(yard: RunYard) -> None:
    yard.start("r")
    yard.add_files("r", *(yard.keep(p, b"1") for p in ("outputs/m/a", "outputs/m/b/c", "outputs/mm", "x")))
    assert paths(yard, "outputs/m", "outputs/mm") == ["outputs/m/a", "outputs/m/b/c", "outputs/mm"]
    assert paths(yard, "outputs/") == ["outputs/m/a", "outputs/m/b/c", "outputs/mm"]
    assert len(paths(yard, ".")) == 4


def test_a_log_is_appended_by_offset_and_read_back(yard: RunYard) -> None:
    yard.start("r")
    assert log(yard, b"hello ", 0) == {"offset": 6}
    assert log(yard, b"hello world", 0) == {"offset": 11}
    assert log(yard, b"hello", 0) == {"offset": 11}
    gap = log(yard, b"x", 99)
    assert (gap.code, gap.extra) == ("stream_gap", {"offset": 11})  # type: ignore[attr-defined]
    assert read(yard) == (b"hello world", 11, "0")
    assert read(yard, 6) == (b"world", 11, "0")
    listed = yard.call("GET", f"{W}/runs/r/files")["items"][0]
    assert (listed["path"], listed["size"], listed["live"]) == ("user_logs/std_log.txt", 11, True)
    whole = yard.http.get(
        f"{W}/runs/r/files/user_logs/std_log.txt", headers={"authorization": "Bearer owner"}
    )
    assert whole.content == b"hello world"


def test_a_log_is_complete_once_the_run_is_over(yard: RunYard) -> None:
    yard.start("r")
    assert read(yard) == (b"", 0, "0")  # not begun yet
    log(yard, b"abc", 0)
    yard.report("r", "Completed")
    assert read(yard) == (b"abc", 3, "1")
    assert yard.call("GET", f"{W}/runs/r/logs/other.txt").code == "no_such_file"


def test_following_a_log_wakes_when_it_grows(yard: RunYard) -> None:
    yard.start("r")
    pieces: list[tuple[bytes, int, str]] = []
    following = threading.Thread(target=lambda: pieces.append(read(yard, 0, 30)))
    following.start()
    log(yard, b"line\n", 0)
    following.join(timeout=20)
    assert pieces == [(b"line\n", 5, "0")]


def test_a_log_that_became_a_file_is_served_from_it(yard: RunYard) -> None:
    yard.start("r")
    log(yard, b"abc", 0)
    yard.add_files("r", yard.keep("user_logs/std_log.txt", b"abcdef"))
    assert read(yard, 3) == (b"def", 6, "1")
    assert log(yard, b"late", 3) == {"offset": 7}
    assert [f["live"] for f in yard.call("GET", f"{W}/runs/r/files")["items"]] == [False]
