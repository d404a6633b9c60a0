// Which words differ between two texts, as marks in them.
const MOST_PAIRS = 4_000_000; // of words that a comparison looks at; beyond, everything between the common ends is marked

/** Words, blanks and marks, one by one. */
const wordsOf = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) || [];

/** Which words two texts do not share: of each the places, by a longest common subsequence. */
const differing = (a, b) => {
  let [start, enda, endb] = [0, a.length, b.length];
  while (start < enda && start < endb && a[start] === b[start]) start++;
  while (enda > start && endb > start && a[enda - 1] === b[endb - 1]) [enda, endb] = [enda - 1, endb - 1];
  const [rows, columns] = [enda - start, endb - start];
  const [left, gone] = [new Set(), new Set()];
  const all = (set, from, to) => { for (let n = from; n < to; n++) set.add(n); };
  if (rows * columns > MOST_PAIRS) {
    all(left, start, enda);
    all(gone, start, endb);
    return [left, gone];
  }
  const table = Array.from({ length: rows + 1 }, () => new Uint16Array(columns + 1));
  for (let i = rows - 1; i >= 0; i--) {
    for (let j = columns - 1; j >= 0; j--) {
      table[i][j] = a[start + i] === b[start + j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  let [i, j] = [0, 0];
  while (i < rows && j < columns) {
    if (a[start + i] === b[start + j]) [i, j] = [i + 1, j + 1];
    else if (table[i + 1][j] >= table[i][j + 1]) left.add(start + i++);
    else gone.add(start + j++);
  }
  all(left, start + i, enda);
  all(gone, start + j, endb);
  return [left, gone];
};

/** A text with some of its words marked, neighbours in one mark. */
const marked = (words, places, tag) => {
  const block = make("pre", { dir: "auto" });
  const told = words.map((word, n) => places.has(n) && word.trim() !== "");
  // Blanks between two marked words are marked with them.
  const on = words.map((word, n) => told[n] || (word.trim() === "" && Boolean(told[n - 1] && told[n + 1])));
  for (let from = 0, n = 0; n < words.length; from = n) {
    while (n < words.length && on[n] === on[from]) n++;
    const text = visible(words.slice(from, n).join(""));
    block.append(on[from] ? make(tag, {}, text) : text);
  }
  if (!words.length) block.append("(empty)");
  return block;
};
