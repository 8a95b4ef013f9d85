// Dispatches tasks one by one on an idle system, then many by 16 callers, then many at once; prints the figures as JSON.
const fs = require("fs");
const { makeWorkerUtils, Logger } = require("graphile-worker");
const path = process.env.BENCH_DONE;
const total = Number(process.argv[2]);
const pause = () => new Promise((resolve) => setTimeout(resolve, 1));
const size = () => fs.statSync(path).size;
const wait = async (wanted) => {
  while (size() < wanted) await pause();
};
(async () => {
  const utils = await makeWorkerUtils({
    connectionString: process.env.BENCH_DATABASE,
    maxPoolSize: 16,
    logger: new Logger(() => () => {}),
  });
  await utils.migrate();
  if (process.argv[3] === "migrate") {
    await utils.release();
    return;
  }
  const spans = [];
  for (let n = 0; n < 350; n++) {
    const before = size();
    const start = performance.now();
    await utils.addJob("nothing", {});
    await wait(before + 1);
    if (n >= 50) spans.push(performance.now() - start);
  }
  let before = size();
  let start = performance.now();
  const caller = async () => {
    for (let n = 0; n < total / 16; n++) await utils.addJob("nothing", {});
  };
  await Promise.all(Array.from({ length: 16 }, caller));
  const dispatched = (total * 1000) / (performance.now() - start);
  await wait(before + total);
  const ended = (total * 1000) / (performance.now() - start);
  before = size();
  start = performance.now();
  const jobs = Array.from({ length: 250 }, () => ({ identifier: "nothing", payload: {} }));
  for (let n = 0; n < total / 250; n++) await utils.addJobs(jobs);
  await wait(before + Math.ceil(total / 250) * 250);
  const bulk = (total * 1000) / (performance.now() - start);
  console.log(JSON.stringify({ spans, dispatched, ended, bulk }));
  await utils.release();
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
