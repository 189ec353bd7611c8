# Sourced by the scripts here: finds Python, makes .venv and installs a lock file into it, only when it changed.

unset PYTHONDONTWRITEBYTECODE # start times are part of what is promised
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

say() { printf '%s\n' "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

find_python() {
  local name
  for name in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
    if [ -n "$name" ] && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  die "Python 3.11 or newer is needed, and none is on PATH. Set PYTHON=/path/to/python3.11 if it is elsewhere."
}

# ensure_venv server|dev: a venv that has dev is good for server too.
ensure_venv() {
  local want=$1 digest
  digest=$(cat pyproject.toml "requirements/$want.lock" | cksum)
  if [ -x .venv/bin/modelyard ] && [ -x .venv/bin/uv ]; then
    grep -qxF "$want $digest" .venv/.locked 2>/dev/null && return
  fi
  if [ ! -x .venv/bin/python ]; then
    say "Making .venv"
    "$(find_python)" -m venv .venv || die "python -m venv failed. On Debian: apt-get install python3-venv"
  fi
  [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check uv ||
    die "uv could not be installed from PyPI"
  say "Installing requirements/$want.lock"
  .venv/bin/uv pip install --quiet --python .venv/bin/python --compile-bytecode --require-hashes \
    -r "requirements/$want.lock" || die "the locked requirements could not be installed"
  .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps -e . || die "modelyard could not be installed"
  .venv/bin/python -m compileall -q src azureml || true
  # What dev holds is more than what server asks for.
  if [ "$want" = dev ]; then
    printf 'dev %s\nserver %s\n' "$digest" "$(cat pyproject.toml requirements/server.lock | cksum)" >.venv/.locked
  else
    printf 'server %s\n' "$digest" >.venv/.locked
  fi
}
