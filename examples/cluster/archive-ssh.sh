#!/usr/bin/env bash
# Inspect an archive on several machines that ssh reaches without a password:
#     HOSTS="inspect1 inspect2 inspect3" archive-ssh.sh ARCHIVE --bundle BUNDLE --workers 4
# The log of each machine goes to HOST.log. Start it again to go on after an interruption.
set -uo pipefail
read -r -a hosts <<< "${HOSTS:?give the machines, such as HOSTS=\"inspect1 inspect2\"}"
processes=()
for number in "${!hosts[@]}"; do
    command="$(printf '%q ' env OMP_NUM_THREADS=1 urbanpipe archive run "$@" --shard "$number/${#hosts[@]}")"
    ssh -o BatchMode=yes "${hosts[number]}" "$command" > "${hosts[number]}.log" 2>&1 < /dev/null &
    processes+=("$!")
done
worst=0
for number in "${!hosts[@]}"; do
    wait "${processes[number]}"
    status=$?
    log="${hosts[number]}.log"
    echo "${hosts[number]}: exit status $status: $(grep ' videos, ' "$log" || tail -n 1 "$log")"
    if ((status > worst)); then worst=$status; fi
done
exit "$worst"
