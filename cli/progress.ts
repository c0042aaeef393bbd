/** A line that says how far something has come. What it looks like is pure; drawing it is for a terminal alone. */
import { bar } from './picture.js';
import { rate } from './summary.ts';
import { bytes, count, cut, draw, line, span, type View } from './text.ts';

/** How far: of requests or of bytes. */
export interface Reached {
  readonly done: number;
  /** `null` where nobody knows. */
  readonly total: number | null;
  /** Milliseconds. */
  readonly elapsed: number;
  readonly unit: 'requests' | 'bytes';
}

/** One line: a bar, how much, how fast, how long still. */
export function progressText({ done, total, elapsed, unit }: Reached, view: View): string {
  const show = unit === 'bytes' ? bytes : count;
  const speed = elapsed > 0 ? (done / elapsed) * 1_000 : 0;
  const fast = unit === 'bytes' ? `${bytes(speed)}/s` : `${rate(speed)}/s`;
  if (total === null || total <= 0) return draw(line(`${show(done)}  ${fast}`), view);
  const left = done > 0 && done < total ? [`${span(((total - done) / done) * elapsed)} left`] : [];
  const parts = [`${Math.floor((done / total) * 100)} %`, `${show(done)} of ${show(total)}`, fast, ...left];
  // One column stays free: a full line would wrap. Half a figure would be another figure.
  while (parts.length > 1 && parts.join('  ').length > view.columns - 1) parts.pop();
  const words = `  ${parts.join('  ')}`;
  const width = Math.min(Math.max(view.columns - words.length - 2, 0), 50);
  const drawn = width < 8 ? '' : bar(done, total, width, !view.unicode).padEnd(width, view.unicode ? '░' : '.');
  return draw(
    line([drawn, 'blue'], cut(words.trimStart(), view.columns - 1).padStart(drawn === '' ? 0 : words.length)),
    view,
  );
}

/** Draws on a stream at most ten times a second; on anything but a terminal it does nothing. */
export class ProgressLine {
  readonly #stream: NodeJS.WritableStream;
  readonly #view: () => View;
  readonly #timer: NodeJS.Timeout | null;
  #shown = false;

  /** Nothing is drawn before `patience` milliseconds are over. */
  constructor(stream: NodeJS.WritableStream, view: () => View, reached: () => Reached, patience: number) {
    this.#stream = stream;
    this.#view = view;
    this.#timer = view().terminal ? setInterval(() => this.#draw(reached(), patience), 100).unref() : null;
  }

  #draw(reached: Reached, patience: number): void {
    if (reached.elapsed < patience || reached.done === 0) return;
    this.#shown = true;
    this.#stream.write(`\r${progressText(reached, this.#view())}\u001B[K`);
  }

  /** Wipes it. */
  end(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#shown) this.#stream.write('\r\u001B[K');
    this.#shown = false;
  }
}
