/** The few figures a benchmark may honestly give: medians, what lies around them, and a percentile. */

/** The middle of some numbers; null when there is none (a figure that this system does not have). */
export function median(values) {
  const known = values.filter((value) => value !== null && value !== undefined).toSorted((a, b) => a - b);
  if (known.length === 0) return null;
  const middle = known.length >> 1;
  return known.length % 2 === 1 ? known[middle] : (known[middle - 1] + known[middle]) / 2;
}

/** Median, least and greatest. */
export function summary(values) {
  const known = values.filter((value) => value !== null && value !== undefined);
  if (known.length === 0) return null;
  return { median: median(known), least: Math.min(...known), greatest: Math.max(...known) };
}

/** Nearest rank in sorted numbers: a value that really occurred, never one between two. */
export function percentile(sorted, share) {
  return sorted.length === 0 ? null : sorted[Math.max(Math.ceil(share * sorted.length), 1) - 1];
}
