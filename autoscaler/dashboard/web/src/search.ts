/** The last of some rising values that is at most this, by its place; -1: none. */
export function lastAtMost(values: ArrayLike<number>, value: number, count = values.length): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
