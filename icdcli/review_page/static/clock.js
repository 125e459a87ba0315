// Measures the time that a reviewer spends on a decision.

const IDLE = 5 * 60; // seconds without a key or a movement after which nobody is reading

export class Clock {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.spent = 0;
    this.since = document.hidden ? null : now();
    this.active = now();
    document.addEventListener("visibilitychange", () => this.#turn(!document.hidden));
    for (const kind of ["keydown", "pointermove", "pointerdown", "wheel", "scroll"]) {
      document.addEventListener(kind, () => this.#act(), { passive: true, capture: true });
    }
  }

  /** Return the seconds since the last call, without those in which nobody could read. */
  take() {
    this.#act();
    this.#turn(false);
    const seconds = Math.round(this.spent * 10) / 10;
    this.spent = 0;
    this.#turn(!document.hidden);
    return seconds;
  }

  #act() {
    const now = this.now();
    if (this.since !== null && now - this.active > IDLE * 1000) {
      this.spent += (this.active - this.since) / 1000 + IDLE;
      this.since = now;
    }
    this.active = now;
  }

  #turn(isOn) {
    if (this.since !== null) {
      const until = Math.min(this.now(), this.active + IDLE * 1000);
      this.spent += Math.max(0, until - this.since) / 1000;
    }
    this.since = isOn ? this.now() : null;
    if (isOn) this.active = this.since;
  }
}
