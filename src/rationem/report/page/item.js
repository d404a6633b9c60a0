// What is known of an item.
// An item's columns, as items.py writes them; a prediction is what was said, how it fits, and probabilities or reward.
const [RUN_OF, SPLIT, OF, PART, RATINGS, BEFORE, AFTER, TEXTS] = Array(8).keys();
const [SAID, FIT, TOLD] = Array(3).keys();
const isTrained = (item) => data.runs[item[RUN_OF]].best > 0;
const exampleOf = (item) => data.examples[item[OF]];
const labelOf = (item) => exampleOf(item)[ANSWER];
const chance = (item, prediction, number) => {
  const place = data.runs[item[RUN_OF]].scale.indexOf(number);
  return data.open ? prediction[TOLD] : place < 0 ? 0 : prediction[TOLD][place];
};
const isRight = (prediction) => prediction[FIT] === 0;

const texts = (item) =>
  item[TEXTS].map(([name, start, end]) => {
    const run = data.runs[item[RUN_OF]];
    return [data.fields[name], end === undefined ? start : bare(exampleOf(item), run).slice(start, end)];
  });

/** The drafts of an item, by iteration. */
const drafts = new Map();
trials.forEach((row, n) => {
  if (!isTested(row)) return;
  const key = `${row[RUN]} ${row[EXAMPLE]} ${row[ITERATION]}`;
  if (drafts.has(key)) drafts.get(key).push(n);
  else drafts.set(key, [n]);
});
const draftsOf = (item, iteration) => (drafts.get(`${item[RUN_OF]} ${item[OF]} ${iteration}`) || []).map((n) => trials[n]);
/** The first draft that says what was predicted, or the first of all. */
const speaker = (item, iteration, prediction) => {
  const all = draftsOf(item, iteration);
  return all.find((row) => prediction && row[PREDICTED] === prediction[SAID]) || all[0];
};
