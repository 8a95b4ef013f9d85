// A worker whose task has nothing to do: each run leaves a byte in a file, so that it can be counted.
const fs = require("fs");
const { run, Logger } = require("graphile-worker");
const done = fs.openSync(process.env.BENCH_DONE, "a");
run({
  connectionString: process.env.BENCH_DATABASE,
  concurrency: 8,
  maxPoolSize: 10,
  logger: new Logger(() => () => {}),
  taskList: { nothing: async () => void fs.writeSync(done, ".") },
}).catch((error) => {
  console.error(error);
  process.exit(1);
});
