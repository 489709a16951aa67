#!/usr/bin/env bash
# Every timing of this folder on one GPU: bash benchmarks/speed/gpu.sh OUT [PYTHON]
#
# From the root of the repository, with cifar-fs and mini-imagenet in $FEWSHOT_DATA. Writes JSON to
# OUT; what fails (a library that is missing, a data set that is not there) leaves the others done.
set -u -o pipefail
out=${1:?usage: gpu.sh OUT [PYTHON]}
python=${2:-python}
speed=benchmarks/speed
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
mkdir -p "$out"

part() {
    local name=$1
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$out/$name.log" || echo "== $name failed"
}

part training "$python" $speed/training.py --device cuda --steps 200 --learner-steps 100 \
    --json "$out/training.json"
part evaluation "$python" $speed/evaluation.py --device cuda --json "$out/evaluation.json"
part speedrun "$python" -m fewshot.cli run $speed/speedrun_gpu.toml --device cuda --results "$out"
part verdict "$python" $speed/speedrun.py "$out/speedrun_gpu" --json "$out/speedrun.json"
part engines "$python" $speed/engines.py --device cuda --cases conv4-32:5 conv4-84:5 \
    --json "$out/engines.json"
part heads "$python" $speed/heads.py --device cuda --json "$out/heads.json"
rm -rf "$out"/trainings # checkpoints stay where they were made
