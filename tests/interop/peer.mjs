// A TypeScript client and worker on one queue. It prints what it saw as one JSON document.
//
// The server is named by the usual PG… variables. What is not done here must be done by Go: it runs the task "go.ship" on the
// queue "gophers", emits the event "approved:1", and spawns a task "greet", which is run here.
import { Absurd, TimeoutError } from "absurd-sdk";
import pg from "pg";

const pool = new pg.Pool();
const quiet = { log() {}, info() {}, warn() {}, error() {} };
const app = new Absurd({ db: pool, queueName: "interop", log: quiet });
const effects = [];
const once = (ctx, name, value) => ctx.step(name, async () => { effects.push(name); return value; });

app.registerTask({ name: "order", defaultMaxAttempts: 3 }, async (order, ctx) => {
  const { cents } = await once(ctx, "charge " + order.id, { cents: order.cents });
  await ctx.sleepFor("nap", 0.2);
  const approval = await ctx.awaitEvent("approved:" + order.id, { timeout: 60 });
  const total = await once(ctx, "pack " + order.id, cents + approval.extra);
  await ctx.emitEvent("packed:" + order.id, { total });
  return { total, headers: ctx.headers };
});
let tries = 0;
app.registerTask({ name: "flaky", defaultMaxAttempts: 3 }, async (_, ctx) => {
  const value = await once(ctx, "flaky step", 7);
  if (++tries < 3) throw new Error("try " + tries);
  return { value, tries };
});
app.registerTask({ name: "hopeless", defaultMaxAttempts: 1 }, async () => { throw new Error("no way"); });
app.registerTask({ name: "patient", defaultMaxAttempts: 1 }, async (_, ctx) => {
  let timeouts = 0;
  for (const event of ["never a", "never b"]) {
    try {
      await ctx.awaitEvent(event, { timeout: 1 });
    } catch (err) {
      if (!(err instanceof TimeoutError)) throw err;
      timeouts++;
    }
  }
  return { timeouts };
});
let greeted;
const greeting = new Promise((resolve) => { greeted = resolve; });
app.registerTask({ name: "greet" }, async (params, ctx) => {
  const text = await once(ctx, "greet", "hello " + params.name);
  greeted();
  return { text };
});

await app.createQueue("interop", { storageMode: process.env.STORAGE_MODE, cleanupTtl: "3 days", cleanupLimit: 7 });
const saw = { policy: await app.getQueuePolicy("interop"), queues: await app.listQueues() };
const worker = await app.startWorker({ concurrency: 4, claimTimeout: 30, pollInterval: 0.02 });
const result = async (task) => app.awaitTaskResult(task.taskID, { timeout: 60 });

const order = await app.spawn("order", { id: "1", cents: 5 }, { idempotencyKey: "order 1", headers: { trace: "x" } });
const again = await app.spawn("order", { id: "2", cents: 6 }, { idempotencyKey: "order 1" });
saw.key = { first: order.created, second: again.created, same: order.taskID === again.taskID };

const waiting = await app.spawn("order", { id: "3", cents: 5 });
const shipped = await app.spawn("go.ship", { id: "7", weight: 3 }, { queue: "gophers" });
const flaky = await app.spawn("flaky", {});
const hopeless = await app.spawn("hopeless", {});
const patient = await app.spawn("patient", {});

saw.flaky = await result(flaky);
const failed = await result(hopeless);
saw.hopeless = { state: failed.state, message: failed.failure.message };
const retried = await app.retryTask(hopeless.taskID);
saw.retried = { attempt: retried.attempt, created: retried.created, state: (await result(retried)).state };
saw.order = await result(order);
await app.cancelTask(waiting.taskID);
saw.cancelled = (await result(waiting)).state;
saw.patient = (await result(patient)).state;
await app.emitEvent("typescript.said:7", { id: "7", text: "go" }, "gophers");
saw.shipped = await app.awaitTaskResult(shipped.taskID, { queue: "gophers", timeout: 60 });
await greeting;
saw.effects = effects.sort();

await worker.close();
await pool.end();
console.log(JSON.stringify(saw));
