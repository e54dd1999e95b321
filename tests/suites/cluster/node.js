// node-redis, createCluster.

const { createCluster } = require("redis");

const KEYS = 30;
const [addresses, name] = [process.argv[2].split(","), process.argv[3]];
const client = createCluster({
  rootNodes: addresses.map((address) => ({ url: `redis://${address}` })),
  defaults: { socket: { connectTimeout: 1000 } },
});
client.on("error", () => {}); // what a command gets is what counts
let over = false;
process.stdin.resume();
process.stdin.on("end", () => (over = true));
process.on("unhandledRejection", (error) => console.log("error", "unhandled", error.message));

const within = (promise, ms) => {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("no answer")), ms)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

(async () => {
  await client.connect();
  const [known, unsure] = [{}, {}];
  let [done, turn] = [0, 0];
  while (!over) {
    const key = `${name}:${turn++ % KEYS}`;
    let value;
    try {
      value = await within(client.incr(key), 2000);
    } catch (error) {
      console.log("error", error.message);
      unsure[key] = (unsure[key] || 0) + 1;
      await new Promise((go) => setTimeout(go, 50));
      continue;
    }
    const least = (known[key] || 0) + 1;
    if (value < least || value > least + (unsure[key] || 0)) console.log("wrong", key, "is", value, "and must be", least);
    unsure[key] = 0;
    known[key] = value;
    if (++done % 50 === 0) console.log("at", done);
  }
  for (const key in known) {
    const found = Number(await client.get(key));
    if (found !== known[key]) console.log("wrong", key, "is", found, "and was", known[key]);
  }
  console.log("over", done);
  process.exit(0);
})().catch((error) => {
  console.log("ended", error.stack);
  process.exit(1);
});
