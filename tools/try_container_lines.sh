#!/usr/bin/env bash
# Try the RUN lines of containers/Dockerfile where there is no container engine, in clean systems made by debootstrap.
#
#     tools/try_container_lines.sh [FOLDER]
#
# The second stage gets /opt/urbanpipe from the first. User 10001 then runs doctor, simulate, inspect and report on a
# root file system that cannot be written; the last two have no network.
#
# It is no build of the image: the systems are plain Debian bookworm, with Python 3.11 where the image has 3.12.
# It needs root, debootstrap and Python, and FOLDER (default: a temporary one) takes 4 GB; remove it afterwards.
# PIP_CONFIG may name a pip.conf for the first stage, and CA_CERTIFICATES the certificates that it trusts.
set -euo pipefail

# All mounts are made in a namespace of the script's own, and end with it.
if [ -z "${OWN_MOUNTS:-}" ]; then
    OWN_MOUNTS=yes exec unshare --mount --propagation private "$0" "$@"
fi
project=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work"
work=$(cd "$work" && pwd)
search=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# ARG becomes a default, ENV an export and RUN a subshell. Of the last stage, ENV alone is in environment.sh.
python3 - "$project/containers/Dockerfile" "$work" << 'PYTHON'
import re
import sys
from pathlib import Path

dockerfile, work = map(Path, sys.argv[1:])
text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE)
stages = []
for line in re.sub(r"\\\n\s*", "", text).splitlines():
    word, _, rest = line.partition(" ")
    if word == "FROM":
        stages.append([])
    elif word == "ARG":
        name, _, default = rest.partition("=")
        stages[-1].append(f"{name}='{default}'")
    elif word == "ENV":
        stages[-1].append(f"export {rest}")
    elif word == "RUN":
        stages[-1].append(f"( {rest} )")
first, second = stages
(work / "first.sh").write_text("\n".join(first) + "\n")
(work / "second.sh").write_text("\n".join(second) + "\n")
(work / "environment.sh").write_text("\n".join(line for line in second if line.startswith("export")) + "\n")
PYTHON

echo "== debootstrap"
start=$SECONDS
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$work/first" \
    http://deb.debian.org/debian > "$work/debootstrap.log"
cat /etc/resolv.conf > "$work/first/etc/resolv.conf"
cp --archive "$work/first" "$work/second"
printf 'deb http://deb.debian.org/debian%s main\n' ' bookworm' ' bookworm-updates' '-security bookworm-security' \
    > "$work/second/etc/apt/sources.list"
echo "in $((SECONDS - start)) s"

echo "== first stage"
start=$SECONDS
mkdir "$work/first/source"
sed -n 's/^!//p' "$project/.dockerignore" | (cd "$project" && xargs cp --archive --target-directory "$work/first/source")
trust=()
if [ -n "${CA_CERTIFICATES:-}" ]; then
    cp "$CA_CERTIFICATES" "$work/first/etc/ssl/certs/ca-certificates.crt"
    trust=(PIP_CERT=/etc/ssl/certs/ca-certificates.crt)
fi
[ -z "${PIP_CONFIG:-}" ] || cp "$PIP_CONFIG" "$work/first/etc/pip.conf"
mount --bind /dev "$work/first/dev"
mount -t proc proc "$work/first/proc"
env -i PATH=$search HOME=/root "${trust[@]}" chroot "$work/first" sh -euxc "$(cat "$work/first.sh")"
echo "in $((SECONDS - start)) s: $(du -sm "$work/first/opt/urbanpipe" | cut -f 1) MB in /opt/urbanpipe"

echo "== second stage"
start=$SECONDS
mount --bind /dev "$work/second/dev"
mount -t proc proc "$work/second/proc"
env -i PATH=$search HOME=/root DEBIAN_FRONTEND=noninteractive chroot "$work/second" sh -euxc "$(cat "$work/second.sh")"
cp --archive "$work/first/opt/urbanpipe" "$work/second/opt/urbanpipe"
echo "in $((SECONDS - start)) s"

echo "== user 10001, read-only"
mkdir --mode 755 "$work/volumes"
install --directory --owner 10001 --group 10001 "$work/volumes/output" "$work/volumes/cache"
mount --bind "$work/second" "$work/second"
mount -o remount,ro,bind "$work/second"
mount --bind /dev "$work/second/dev"
mount -t proc proc "$work/second/proc"
mount -t tmpfs -o mode=1777 tmpfs "$work/second/tmp"
mount --bind "$work/volumes/output" "$work/second/output"
mount --bind "$work/volumes/cache" "$work/second/cache"
if chroot "$work/second" touch /usr/here 2> /dev/null; then
    echo "the root file system can be written" >&2
    exit 1
fi
run="$(cat "$work/environment.sh")"'; cd /output && exec urbanpipe "$@"'
network=()
as_user() {  # as_user ARGUMENTS...: of urbanpipe
    env -i PATH=$search "${network[@]}" chroot --userspec=10001:10001 "$work/second" sh -ec "$run" urbanpipe "$@" < /dev/null
}
as_user doctor
as_user simulate /output/clips --videos 1 --seconds 4:5 --size 320x240
network=(unshare --net)
as_user inspect /output/clips/videos --out /output/inspected
test -s "$work/volumes/output/inspected/index.html"
as_user report /output/inspected --out /output/record.pdf  # with the second stage's Pango
test "$(head --bytes 5 "$work/volumes/output/record.pdf")" = %PDF-
echo "== done"
