#!/usr/bin/env bash
# Try a built image as compose.yaml runs it: simulate and inspect a video, then start the review service with an account.
#
#     tools/check_container.sh IMAGE
set -euo pipefail

image=$1
flags=(--read-only --cap-drop ALL --security-opt no-new-privileges:true --tmpfs /tmp:mode=1777
    --volume urbanpipe-check:/output --volume urbanpipe-check-cache:/cache)
finish() {
    docker rm --force urbanpipe-check > /dev/null 2>&1 || true
    docker volume rm --force urbanpipe-check urbanpipe-check-cache > /dev/null
}
trap finish EXIT

docker run --rm "${flags[@]}" "$image" simulate /output/clips --videos 1 --seconds 4:5 --size 320x240
docker run --rm --network none "${flags[@]}" "$image" inspect /output/clips/videos --out /output

if docker run --rm "${flags[@]}" "$image"; then
    echo "the review service starts without an account" >&2
    exit 1
fi
docker run --rm "${flags[@]}" --entrypoint python3 "$image" -c '
from pathlib import Path
from urbanpipe.review.people import Role, add_person
from urbanpipe.review_store.store import ReviewStore
add_person(ReviewStore(Path("/output/review.sqlite")), "check", Role.lead, "a password of the check")
'
docker run --detach --name urbanpipe-check "${flags[@]}" --health-interval 2s "$image" > /dev/null
for _ in $(seq 60); do
    state=$(docker inspect --format '{{.State.Health.Status}}' urbanpipe-check)
    [ "$state" = healthy ] && echo "healthy" && exit 0
    sleep 2
done
docker logs urbanpipe-check
exit 1
