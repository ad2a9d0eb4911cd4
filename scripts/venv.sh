# shellcheck shell=bash
# Sourced by the scripts beside it, from the repository's root: make_venv EXTRA makes or reuses .venv and installs stylswap
# with the extra ("" for none); nothing is done again while pyproject.toml stays the same.

make_venv() {
  local extra="$1" python="${PYTHON:-python3}" stamp wanted
  if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Python 3.11 or newer is needed; '$python' is $("$python" --version 2>&1). Set PYTHON=/path/to/python3.11" >&2
    exit 1
  fi
  stamp=".venv/installed-${extra:-plain}"
  wanted="$(cksum pyproject.toml) $PWD"
  # One that was made here, and whose Python is gone or whose checkout was moved: nothing in it would start.
  if [ -f "$stamp" ] && { [ ! -x .venv/bin/python ] || [[ "$(cat "$stamp")" != *" $PWD" ]]; }; then
    rm -rf .venv
  fi
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return
  if [ ! -x .venv/bin/pip ] && ! "$python" -m venv .venv; then
    rm -rf .venv  # half an environment would be taken for a whole one next time
    echo "'$python -m venv' failed; on Debian and Ubuntu: apt install python3-venv" >&2
    exit 1
  fi
  echo "installing into .venv (torch is large: a few minutes the first time)" >&2
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${extra:+[$extra]}"
  echo "$wanted" > "$stamp"
}
