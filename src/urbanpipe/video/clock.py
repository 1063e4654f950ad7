"""Clocks of a recording: one ascending timeline from time stamps that restart, wrap, repeat, are coarse or are missing.

Time stamps are kept as they are, pauses included. Only these are changed:

- At a jump of the clock (joined recordings, damaged stamps), the usual gap between frames replaces the step. The clock
  jumps where it runs backwards, where it leaves and comes back to where it would be, or where it skips more time than a
  pause can explain (`MAX_PAUSE_SECONDS`).
- Frames with the same stamp, or with none, are spread up to the next stamp.
- A stamp out of the order of the frames takes its place in that order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Ticks = NDArray[np.float64]
Times = NDArray[np.float64]
Numbers = NDArray[np.int64]

WRAP_TICKS = 2.0**33  # MPEG-TS and MPEG-PS count modulo this
WRAPPING = frozenset({"mpegts", "mpeg"})
# Longer steps are jumps. Streams without a table of contents may be joined end to end; elsewhere, stamps are durations
# that somebody wrote, and players show them.
MAX_PAUSE_SECONDS = {"mpegts": 120.0, "mpeg": 120.0}
MAX_PAUSE_ELSEWHERE_SECONDS = 3600.0
MIN_PAUSE_SECONDS, MIN_PAUSE_FRAMES = 1.0, 10  # shorter steps are an uneven frame rate
MAX_REORDER_FRAMES = 70  # a stamp further from its decoding time is wrong
WITHOUT_DECODING_TIMES = frozenset({"matroska"})  # FFmpeg makes them up there
SMOOTHED_PACKETS = 35  # covers reordering


@dataclass(frozen=True)
class Clock:
    """Time stamps of the packets of a video, in decoding order.

    Attributes:
        ticks: presentation time of each packet without wraps, float64, shape (packets,); NaN if missing or wrong.
        part: number of jumps before each packet, shape (packets,), int64, ascending.
        jumps: packets at which the clock jumps; ascending.
    """

    ticks: Ticks
    part: Numbers
    jumps: Numbers


def clock_of(
    pts: Sequence[int | None],
    dts: Sequence[int | None],
    tick_seconds: Fraction,
    container: str,
    *,
    keyframes: Sequence[int] = (),
    lossy: Sequence[int] = (),
) -> Clock:
    """Find the jumps of a clock.

    Args:
        pts: presentation times of the packets in decoding order, in ticks.
        dts: decoding times.
        tick_seconds: unit of the times.
        container: "mp4", "matroska", or FFmpeg's first name of the format.
        keyframes: numbers of the packets marked as keyframes; ascending.
        lossy: numbers of the packets after which MPEG-TS counts lost packets, as where two files were joined.
    """
    shown, decoded = _floats(pts), _floats(dts)
    by_decoding = container not in WITHOUT_DECODING_TIMES and not np.isnan(decoded).all()
    clock = decoded if by_decoding else shown
    numbers = np.flatnonzero(~np.isnan(clock))
    if not numbers.size:
        return Clock(shown, np.zeros(len(shown), dtype=np.int64), numbers)
    if container in WRAPPING:
        shown = _unwrapped(shown - clock)
        clock = _from_steps(clock, numbers, _unwrapped(np.diff(clock[numbers])))
        shown = clock + shown
    even = _without_outliers(clock[numbers]) if by_decoding else _smoothed(clock[numbers])
    second = 1 / float(tick_seconds) if tick_seconds else np.inf
    pause = max(MIN_PAUSE_SECONDS * second, MIN_PAUSE_FRAMES * _usual_step(even))
    longest = MAX_PAUSE_SECONDS.get(container, MAX_PAUSE_ELSEWHERE_SECONDS) * second
    jumps = _jumps(even, pause, longest, 3 if by_decoding else 2 * SMOOTHED_PACKETS)
    joins = _after_loss(even, numbers, pause, keyframes, lossy)
    starts = _at_keyframes(np.union1d(jumps, joins), numbers, keyframes)
    part = np.searchsorted(starts, np.arange(len(shown)), side="right").astype(np.int64)
    reach = max(second, MAX_REORDER_FRAMES * _usual_step(even))
    return Clock(_without_wrong(shown, _from_values(len(shown), numbers, even), reach), part, starts)


def timeline(ticks: Ticks, part: Numbers, tick_seconds: Fraction, frame_seconds: float) -> tuple[Times, float]:
    """Return ascending times of frames from the first on, and the usual gap between frames, both in seconds.

    Args:
        ticks: stamps of the frames in presentation order, shape (frames,), at least one; NaN if unknown.
        part: part of the recording that each frame belongs to, shape (frames,); the clock jumps between parts.
        tick_seconds: unit of the stamps.
        frame_seconds: gap between frames if no stamp is known.
    """
    if not tick_seconds or np.unique(ticks[~np.isnan(ticks)]).size < min(2, len(ticks)):
        return np.asarray(np.arange(len(ticks)) * frame_seconds, dtype=np.float64), frame_seconds
    bounds = np.flatnonzero(np.diff(np.maximum.accumulate(part))) + 1
    parts = [_sorted(stamps) for stamps in np.split(ticks, bounds)]
    usual = _usual_gap(parts) or frame_seconds / float(tick_seconds)
    begin, spread = 0.0, []
    for stamps in parts:
        spread.append(begin + _spread(stamps - stamps[0], usual))
        begin = float(spread[-1][-1]) + usual
    times = np.concatenate(spread) * float(tick_seconds.numerator) / float(tick_seconds.denominator)
    return np.asarray(times, dtype=np.float64), float(usual * tick_seconds)


def _floats(stamps: Sequence[int | None]) -> Ticks:
    return np.array([np.nan if stamp is None else stamp for stamp in stamps], dtype=np.float64)


def _unwrapped(steps: Ticks) -> Ticks:
    """Return the smallest steps, forwards or backwards, that differ from the given ones by whole wraps."""
    result: Ticks = (steps + WRAP_TICKS / 2) % WRAP_TICKS - WRAP_TICKS / 2
    return result


def _from_steps(clock: Ticks, numbers: Numbers, steps: Ticks) -> Ticks:
    return _from_values(len(clock), numbers, clock[numbers[0]] + np.concatenate([[0.0], np.cumsum(steps)]))


def _from_values(count: int, numbers: Numbers, values: Ticks) -> Ticks:
    result = np.full(count, np.nan)
    result[numbers] = values
    return result


def _without_wrong(shown: Ticks, reference: Ticks, reach: float) -> Ticks:
    """Return the presentation times; NaN for those that are further from their decoding times than `reach`."""
    ahead = shown - reference
    if np.isnan(ahead).all():
        return shown
    return np.where(np.abs(ahead - np.nanmedian(ahead)) > reach, np.nan, shown)


def _without_outliers(clock: Ticks) -> Ticks:
    """Return the clock without single values that lie outside of neighbours which follow each other."""
    if len(clock) < 3:
        return clock
    before, now, after = clock[:-2], clock[1:-1], clock[2:]
    follows = (after > before) & (after - before <= 3 * _usual_step(clock))
    middle = np.where(follows & ((now < before) | (now > after)), (before + after) / 2, now)
    return np.concatenate([clock[:1], middle, clock[-1:]])


def _smoothed(clock: Ticks) -> Ticks:
    """Return the clock without excursions shorter than `SMOOTHED_PACKETS`: its morphological opening and closing."""
    return -_opened(-_opened(clock))


def _opened(clock: Ticks) -> Ticks:
    padded = np.pad(clock, SMOOTHED_PACKETS, constant_values=np.inf)
    lowest = sliding_window_view(padded, SMOOTHED_PACKETS).min(axis=1)
    opened: Ticks = sliding_window_view(lowest, SMOOTHED_PACKETS).max(axis=1)[1 : len(clock) + 1]
    return opened


def _usual_step(even: Ticks) -> float:
    steps = np.diff(even)
    return float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0


def _jumps(even: Ticks, pause: float, longest: float, blur: int) -> Numbers:
    """Return the positions at which the clock runs backwards, comes back from an excursion, or skips too much.

    Values near a backward step may be off by `blur` usual steps.
    """
    steps, usual = np.diff(even), _usual_step(even)
    places = np.flatnonzero((steps < 0) | (steps > pause))
    jumps = set(places[(steps[places] < 0) | (steps[places] > max(longest, pause))].tolist())
    for first, second in pairwise(places.tolist()):
        inside = even[second] - even[first + 1]
        away = even[second + 1] - even[first] - inside - 2 * usual
        if (steps[first] < 0) != (steps[second] < 0) and abs(away) <= blur * usual:
            jumps |= {first, second}
    return np.array(sorted(jumps), dtype=np.int64) + 1


def _after_loss(even: Ticks, numbers: Numbers, pause: float, keyframes: Sequence[int], lossy: Sequence[int]) -> Numbers:
    """Return the positions at which a forward step, a count of lost packets and a keyframe meet: a join."""
    lost = {number + ahead for number in lossy for ahead in (0, 1, 2)} & set(keyframes)
    steps = np.flatnonzero(np.diff(even) > pause) + 1
    return np.array([at for at in steps.tolist() if int(numbers[at]) in lost], dtype=np.int64)


def _at_keyframes(jumps: Numbers, numbers: Numbers, keyframes: Sequence[int]) -> Numbers:
    """Return the packet of each jump: the first keyframe since the last packet with a stamp, if there is one."""
    keys = np.array(keyframes, dtype=np.int64)
    starts = []
    for jump in jumps.tolist():
        between = keys[(keys > numbers[jump - 1]) & (keys <= numbers[jump])]
        starts.append(int(between[0]) if between.size else int(numbers[jump]))
    return np.array(starts, dtype=np.int64)


def _sorted(ticks: Ticks) -> Ticks:
    """Return the stamps of a part in ascending order; a missing one repeats the one before it."""
    known = np.flatnonzero(~np.isnan(ticks))
    if not known.size:
        return np.zeros(len(ticks))
    before = known[np.maximum(np.searchsorted(known, np.arange(len(ticks)), side="right") - 1, 0)]
    return np.sort(ticks[before])


def _usual_gap(parts: Sequence[Ticks]) -> float:
    """Return the mean gap between frames, without those that differ much from the median; 0 if there is none."""
    gaps: list[Ticks] = []
    for stamps in parts:
        distinct, counts = np.unique(stamps, return_counts=True)
        gaps.append(np.repeat(np.diff(distinct) / counts[:-1], counts[:-1]))
    together = np.concatenate(gaps)
    if not together.size:
        return 0.0
    median = float(np.median(together))
    return float(together[(together >= median / 2) & (together <= 2 * median)].mean())


def _spread(stamps: Ticks, usual: float) -> Ticks:
    """Return ascending stamps: equal ones follow each other by the usual gap, or less if the next stamp is near."""
    distinct, first, counts = np.unique(stamps, return_index=True, return_counts=True)
    room = np.append(np.diff(distinct) / counts[:-1], usual)
    step = np.repeat(np.minimum(room, usual), counts)
    spread: Ticks = stamps + (np.arange(len(stamps)) - np.repeat(first, counts)) * step
    return spread
