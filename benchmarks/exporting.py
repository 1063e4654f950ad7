"""Peak memory and time of exports of stub inspections, from an archive or from folders, at N and 10 N videos; on Linux.

python benchmarks/exporting.py WORK [--videos 10000] [--folders]
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers.archive_material import make_clips, stub_run
from helpers.stub_inspector import StubInspector
from urbanpipe.archive.shards.plan import archive_plan
from urbanpipe.contracts.findings import write_inspection

FORMATS = {"jsonl": "f.jsonl", "cjj181": "table.csv", "pacp": "pacp", "qvpipe": "q.json", "cctvpipe": "c.json"}
EXPORT = """
import json, sys, time
from pathlib import Path
from urbanpipe.exports.export import export
from urbanpipe.exports.options import ExportOptions
def peak_mib():  # ru_maxrss begins with that of the parent process
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
source, out, to = sys.argv[1:]
before = peak_mib()
begin = time.process_time()
data = "{from_manhole}" if to == "pacp" else None  # one survey per video
options = ExportOptions(pictures=False, date="2026-01-31" if to == "pacp" else None)
done = export(source, out=Path(out), to=to, inspection_data=data, options=options)
print(json.dumps([done.videos, done.rows, time.process_time() - begin, before, peak_mib()]))
"""


def made(work: Path, videos: int, *, folders: bool) -> Path:
    """Return an archive of stub inspections, or their folders; those of an earlier call are used again."""
    source = work / f"{'folders' if folders else 'archive'}-{videos}"
    if (source / "done").exists():
        return source
    clips = make_clips(work / f"clips-{videos}", videos)
    if folders:
        for path in sorted(clips.iterdir()):
            folder = source / path.stem
            folder.mkdir(parents=True, exist_ok=True)
            write_inspection(StubInspector().inspect(path).inspection, folder)
    else:
        archive_plan([clips], source)
        stub_run(source)
    (source / "done").touch()
    return source


def exported(source: Path, form: str, out: Path) -> tuple[int, int, float, float, float]:
    """Export in a process of its own; return videos, rows, seconds, and MiB before and at the peak."""
    command = [sys.executable, "-c", EXPORT, str(source), str(out), form]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    videos, rows, seconds, before, peak = json.loads(done.stdout)
    return videos, rows, seconds, before, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--folders", action="store_true")
    given = parser.parse_args()
    print("| format | videos | rows | seconds | MiB before | MiB at the peak |")
    print("|---|---|---|---|---|---|")
    for form, name in FORMATS.items():
        for videos in (given.videos, 10 * given.videos):
            source = made(given.work, videos, folders=given.folders)
            out = given.work / "out" / f"{source.name}-{name}"
            count, rows, seconds, before, peak = exported(source, form, out)
            print(f"| {form} | {count:,} | {rows:,} | {seconds:.1f} | {before:.0f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
