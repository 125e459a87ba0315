// Positions in a note. The server counts code points, as Python does; JavaScript counts UTF-16 code
// units, in which an emoji has two. Both are the same unless a note has such characters.

export class Positions {
  constructor(text) {
    /** The UTF-16 positions of the second units of characters that have two. */
    this.seconds = [];
    for (const found of text.matchAll(/[\ud800-\udbff][\udc00-\udfff]/g)) {
      this.seconds.push(found.index + 1);
    }
  }

  /** Return the UTF-16 position of a position of the server. */
  toUnits(point) {
    // The k-th pair, from 0, ends before the position if its own position, less the k pairs before
    // it, is below.
    let low = 0;
    let high = this.seconds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.seconds[middle] - 1 - middle < point) low = middle + 1;
      else high = middle;
    }
    return point + low;
  }

  /** Return the position of the server of a UTF-16 position. */
  toPoints(unit) {
    let low = 0;
    let high = this.seconds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.seconds[middle] < unit) low = middle + 1;
      else high = middle;
    }
    return unit - low;
  }
}
