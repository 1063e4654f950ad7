// The player and the still beside it. The still is the frame itself, by number; the player is moved to the same time.
import { api, clock, find, say, t } from "/static/common.js";

export class Player {
  constructor(folder, video, onTime) {
    this.folder = encodeURIComponent(folder);
    this.video = video;
    this.element = find("#player");
    this.onTime = onTime;
    this.frame = null;
    this.ready = false;
    this.asked = 0;
    this.lost = false; // whether the video is missing or changed
    this.known = new Promise((resolve) => { this.isKnown = resolve; });
    this.element.addEventListener("timeupdate", () => { onTime(this.seconds()); });
    this.element.addEventListener("seeked", () => { onTime(this.seconds()); });
    this.element.addEventListener("pause", () => { if (!this.seeking) this.showPlayed(); });
    this.element.addEventListener("error", () => { if (this.element.src) this.note(t("player_failed")); });
  }

  note(text) { find("#player-note").textContent = text; find("#player-note").hidden = !text; }

  // Waits until the file is known to be the inspected one, and until a copy is made where a browser cannot play it.
  async load() {
    for (;;) {
      const file = await api("GET", `/api/videos/${this.folder}/file`);
      const isAway = [0, 401, 503].includes(file.http);
      this.lost = !isAway && (!file.ok || ["missing", "changed"].includes(file.status));
      if (file.status !== "checking" && !isAway) this.isKnown();
      if (!file.ok) {
        this.note(file.detail);
        if (!isAway) return file;
        await new Promise((resolve) => { setTimeout(resolve, 2000); });
        continue;
      }
      if (file.status === "checking") this.note(t("file_checking"));
      else if (file.status !== "ok") { this.note(t(`file_${file.status}`)); return file; }
      else if (file.plays || file.proxy.status === "ready") {
        this.note("");
        this.element.src = `/media/${this.folder}/${file.plays ? "video" : "proxy"}`;
        this.ready = true;
        this.proxy = !file.plays;
        if (this.frame) this.seek(this.frame);
        return file;
      } else if (file.proxy.status === "failed") { this.note(t("proxy_failed", { reason: file.reason })); return file; }
      else this.note(t("proxy_making", { percent: Math.floor(100 * file.proxy.share) }));
      await new Promise((resolve) => { setTimeout(resolve, 400); });
    }
  }

  // Time after the first frame, from that of the player; without a video, that of the still.
  seconds() {
    if (!this.ready) return this.frame?.seconds ?? 0;
    const now = this.element.currentTime;
    const anchors = this.video.player_anchors;
    let offset = 0;
    for (const [seconds, player] of anchors) if (player <= now + 0.5) offset = player - seconds;
    return Math.max(0, Math.min(now - offset, this.video.duration_seconds));
  }

  // Shows a frame that the inspection has a picture of, at once and without the video.
  showEvidence(evidence) {
    this.asked += 1;
    this.show({ number: evidence.frame, seconds: evidence.seconds, player_seconds: evidence.player_seconds }, `/media/${this.folder}/picture/${encodeURIComponent(evidence.picture)}`, evidence);
  }

  async showFrame(query) {
    const asked = ++this.asked;
    await this.known;
    if (asked !== this.asked) return;
    if (this.lost) { this.showNothing(); return; }
    const frame = await api("GET", `/api/videos/${this.folder}/frame?${query}&proxy=${Boolean(this.proxy)}`);
    frame.proxy = this.proxy;
    if (asked !== this.asked) return;
    if (!frame.ok) { say(frame.detail, "error"); return; }
    this.show(frame, `/media/${this.folder}/still/${frame.number}`, null);
  }

  // Without the video there are only the pictures of the inspection.
  showNothing() {
    this.frame = null;
    find("#still").removeAttribute("src");
    find("#heat-map").hidden = true;
    find("#ring").toggleAttribute("hidden", true);
    find("#frame-time").textContent = "";
    find("#frame-note").textContent = t("no_picture");
  }

  show(frame, url, evidence) {
    this.frame = frame;
    find("#still").src = url;
    find("#frame-time").textContent = clock(frame.seconds, true);
    find("#frame-note").textContent = t("frame_number", { number: frame.number });
    const heat = find("#heat-map");
    heat.hidden = !evidence?.heat;
    if (evidence?.heat) heat.src = `/media/${this.folder}/picture/${encodeURIComponent(evidence.heat)}`;
    find("#ring").toggleAttribute("hidden", !evidence?.hottest);
    if (evidence?.hottest) {
      find("#ring circle").setAttribute("cx", `${100 * evidence.hottest[0]}%`);
      find("#ring circle").setAttribute("cy", `${100 * evidence.hottest[1]}%`);
    }
    this.seek(frame);
    if (!this.ready) this.onTime();
  }

  // Moves the player to a frame. A copy of a video whose clock jumps has a clock of its own.
  async seek(frame) {
    if (!this.ready) return;
    this.seeking = true;
    this.element.pause();
    const exact = this.proxy && !frame.proxy ? await api("GET", `/api/videos/${this.folder}/frame?number=${frame.number}&proxy=true`) : frame;
    if (this.frame === frame && exact.player_seconds !== undefined) this.element.currentTime = exact.player_seconds;
    setTimeout(() => { this.seeking = false; }, 0);
  }

  showTime(seconds) { return this.showFrame(`seconds=${seconds}`); }
  showPlayed() { return this.showFrame(`player=${this.element.currentTime}`); }
  step(by) { return this.showFrame(`number=${Math.max(0, (this.frame?.number ?? 0) + by)}`); }
  skip(by) { return this.showTime(Math.max(0, (this.frame?.seconds ?? this.seconds()) + by)); }

  toggle() {
    if (!this.ready) return;
    if (this.element.paused) this.element.play(); else this.element.pause();
  }
}
