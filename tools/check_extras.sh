#!/usr/bin/env bash
# Install the wheel with each extra into a clean environment, and use what the extra is for.
#
#     tools/check_extras.sh FOLDER [EXTRA]...
#
# Without an EXTRA, `none` and all but those for developers; the ones that contain torch share an environment, so their
# order matters: train, weights, pretrain, loggers. Prints a line per extra: seconds to install, and MB of the
# environment. pdf, review and none read the inspection of onnx. PYTHON chooses the interpreter; ocr needs 3.11 or 3.12.
# FOLDER takes 1.5 GB, or 7 GB with train; remove it afterwards.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- onnx none archive hub openvino pdf ray review ocr train weights pretrain loggers
python=${PYTHON:-python3}
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$work" "$root"
wheel=$(ls "$work"/urbanpipe-*.whl)
cd "$work"  # the source is out of sight
unset PYTHONPATH

use() {
    case $1 in
        none)
            urbanpipe folds catalog.csv --folds 2 --out folds.csv
            urbanpipe export inspected --to cjj181 --out table.xlsx
            urbanpipe export inspected --to qvpipe --out scores.json
            urbanpipe evaluate --labels clips/labels.json --predictions scores.json
            PYTHONPATH=$root/tests python -c '
from pathlib import Path
from helpers.filled_tables import defect, filled_table, segment
filled_table(Path("filled.xlsx"), [segment()], [defect("CK", 2, 5.0)])
'
            urbanpipe condition filled.xlsx --out condition.html
            urbanpipe report inspected --out record.html
            ;;
        onnx) urbanpipe inspect clips/videos --out inspected ;;
        openvino) urbanpipe inspect clips/videos --runtime openvino --out with-openvino ;;
        archive)
            urbanpipe archive plan clips/videos --archive archive
            urbanpipe archive status archive
            ;;
        ray) python -c 'import ray, urbanpipe.archive.shards.ray_workers; ray.init(num_cpus=1); ray.shutdown()' ;;
        hub) python -c 'import huggingface_hub, urbanpipe.hub.pull, urbanpipe.hub.push' ;;
        pdf)
            urbanpipe report inspected --out record.pdf
            test "$(head --bytes 5 record.pdf)" = %PDF-
            ;;
        review)
            urbanpipe review inspected --port 8011 &
            python -c '
import time, urllib.request
for _ in range(60):
    try:
        urllib.request.urlopen("http://127.0.0.1:8011/healthz", timeout=2)
        break
    except OSError:
        time.sleep(0.5)
else:
    raise SystemExit("the review does not answer")
'
            kill $!
            ;;
        ocr) urbanpipe ocr clips/videos --out ocr.csv ;;
        train)
            urbanpipe demo --out demo --videos 20 --unseen 5 --folds 2 --set training.epochs=1 \
                --set training.workers=0 --set input.tile=16 --set input.rows=2 --set input.columns=2
            ;;
        weights) urbanpipe weights tf_efficientnet_lite0 --out weights.safetensors ;;
        pretrain) pretrain --out pretrained ;;
        loggers) pretrain --out pretrained-logged --logger mlflow ;;
        *)
            echo "there is nothing to try for the extra $1" >&2
            return 1
            ;;
    esac
}

pretrain() {  # pretrain OPTIONS...: for a moment
    urbanpipe pretrain catalog.csv --method simclr --backbone test_resnet "$@" --set size=32 --set every_seconds=0.4 \
        --set epochs=1 --set warmup_epochs=0 --set batch_size=16 --set workers=0
}

search=$PATH
extra=
set -o errtrace
trap 'echo "$extra: failed; see $work/$extra.log" >&2' ERR
for extra in "$@"; do
    case $extra in
        train | weights | pretrain | loggers) environment=$work/with-train ;;
        *) environment=$work/with-$extra ;;
    esac
    start=$SECONDS
    [ -e "$environment" ] || "$python" -m venv "$environment"
    PATH=$environment/bin:$search
    if [ "$extra" = none ]; then wanted=$wheel; else wanted="${wheel}[$extra]"; fi
    pip install --quiet "$wanted" > "$extra.log" 2>&1
    seconds=$((SECONDS - start))
    urbanpipe doctor --json > doctor.json
    python -c '
import json, sys
checks = {check["name"]: check for check in json.load(open("doctor.json", encoding="utf-8"))["checks"]}
wrong = [f"{name}: {check}" for name, check in checks.items() if check["status"] == "broken"]
extra = checks.get(f"extra {sys.argv[1]}", {"status": "ok"})
sys.exit("\n".join(wrong) or (str(extra) if extra["status"] != "ok" else 0))
' "$extra" >> "$extra.log" 2>&1
    if [ ! -e catalog.csv ]; then
        urbanpipe simulate clips --videos 6 --seconds 2:3 --size 160x120 > simulate.log
        urbanpipe scan clips/videos --labels clips/labels.json --out catalog.csv > scan.log
    fi
    use "$extra" >> "$extra.log" 2>&1
    echo "$extra: $seconds s, $(du -sm "$environment/" | cut -f 1) MB"
    [ "$environment" = "$work/with-train" ] || rm -rf "$environment"
done
