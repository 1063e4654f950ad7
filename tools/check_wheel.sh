#!/usr/bin/env bash
# Build sdist and wheel into dist/, check their contents, install the wheel into a clean environment and try it.
#
#     tools/check_wheel.sh [FOLDER]
#
# FOLDER (default: a temporary one) takes the environments, up to 6 GB; remove it afterwards.
# PYTHON chooses the interpreter, and EXTRAS what is installed, such as EXTRAS=[train]; default: [onnx].
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work"
work=$(cd "$work" && pwd)
python=${PYTHON:-python3}

echo "== build"
rm -rf "$root/dist"
"$python" -m venv "$work/build"
"$work/build/bin/pip" install --quiet build
"$work/build/bin/python" -m build --outdir "$root/dist" "$root"
"$python" "$root/tools/check_distribution.py" "$root/dist"
wheel=$(ls "$root"/dist/*.whl)

echo "== Python 3.10 is refused"
if "$work/build/bin/pip" download --quiet --no-deps --dest "$work/refused" --only-binary :all: \
    --python-version 3.10 "$wheel" 2> "$work/refused.log"; then
    echo "pip accepts $wheel for Python 3.10" >&2
    exit 1
fi
grep -m 1 "requires a different Python" "$work/refused.log"

echo "== install"
"$python" -m venv "$work/installed"
start=$SECONDS
"$work/installed/bin/pip" install --quiet "$wheel${EXTRAS-[onnx]}"
echo "installed in $((SECONDS - start)) s: $(du -sm "$work/installed" | cut -f 1) MB"

echo "== try"
cd "$work"  # the source is out of sight
export PATH="$work/installed/bin:$PATH"
unset PYTHONPATH
urbanpipe --version
urbanpipe --help > help.txt
urbanpipe doctor
urbanpipe recipes > recipes.txt
wc -l < recipes.txt
urbanpipe simulate clips --videos 1 --seconds 4:5 --size 320x240 > simulate.txt
urbanpipe inspect clips/videos --out inspected
test -s inspected/index.html
test "$(find inspected -name findings.json | wc -l)" = 1
if pip show --quiet torch 2> /dev/null; then
    echo "== demo"
    start=$SECONDS
    urbanpipe demo --out demo --videos 20 --unseen 5 --folds 2 \
        --set training.epochs=1 --set training.workers=0 --set input.tile=16 --set input.rows=2 --set input.columns=2
    test -s demo/summary.md
    echo "demo in $((SECONDS - start)) s"
fi
python -c 'import importlib.metadata, pathlib, urbanpipe; print(importlib.metadata.version("urbanpipe"), pathlib.Path(urbanpipe.__file__).parent)'
echo "== done"
