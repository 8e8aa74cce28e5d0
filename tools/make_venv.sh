#!/bin/sh
# Make a virtual environment from requirements.lock: make_venv.sh PYTHON VENV
#
# Debian and Ubuntu take `ensurepip` out of Python and into the package python3-venv. Where it is missing, pip comes
# from the system's own pip, or else out of Debian's package python3-pip-whl, which needs no root to download.
set -eu
python=$1
venv=$2

fail() {
    echo "make: $1" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 || fail "no $python on this machine; install Python 3.11 or later, or say make PYTHON=..."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is $("$python" -V); Python 3.11 or later is needed"

rm -rf "$venv"
if "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    "$python" -m venv "$venv"
    pip="$venv/bin/python -m pip"
else
    "$python" -m venv --without-pip "$venv"
    if "$python" -m pip --version >/dev/null 2>&1; then
        pip="$python -m pip --python $venv/bin/python"
    else
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        (cd "$work" && apt-get download -qq python3-pip-whl && dpkg-deb -x python3-pip-whl_*.deb .) >/dev/null 2>&1 ||
            fail "this Python has no pip. Run: sudo apt-get install python3-venv"
        wheel=$(ls "$work"/usr/share/python-wheels/pip-*.whl)
        pip="$venv/bin/python $wheel/pip"
    fi
fi

echo "make: installing the pinned requirements into $venv"
$pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
$pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
