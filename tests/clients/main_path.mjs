// The way from rows to an answer, with the official Node client.
//
//     npm install openai
//     OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=… node main_path.mjs [MODEL]
//
// Uploads rows, tunes a model, follows the job, asks the tuned model in the three ways there are, and deletes what it made.

import OpenAI, { toFile } from "openai";

const client = new OpenAI({ maxRetries: 0 }); // base URL and key from the environment
const model = process.argv[2] ?? "smollm2-135m-instruct";

const numbers = [...Array(12).keys()];
const rows = numbers.map((n) => JSON.stringify({ prompt: `Is ${n} a number?\n\n###\n\n`, completion: " yes [DONE]" }) + "\n");
const file = await client.files.create({ file: await toFile(Buffer.from(rows.join("")), "rows.jsonl"), purpose: "fine-tune" });
console.log(`uploaded ${file.filename}: ${file.bytes} bytes`);

let job = await client.fineTuning.jobs.create({
  model,
  training_file: file.id,
  suffix: "node",
  method: { type: "supervised", supervised: { hyperparameters: { n_epochs: 2, batch_size: 6 } } },
});
let last; // the event that was seen last
while (!["succeeded", "failed", "cancelled"].includes(job.status)) {
  await new Promise((resolve) => setTimeout(resolve, 200));
  job = await client.fineTuning.jobs.retrieve(job.id);
}
for await (const event of client.fineTuning.jobs.listEvents(job.id)) last ??= event.message;
console.log(`${job.status}: ${last}`);
const results = await client.files.content(job.result_files[0]);
console.log(`results: ${(await results.text()).split("\n")[0]}`);

const tuned = job.fine_tuned_model;
const completion = await client.completions.create({
  model: tuned, prompt: "Is 3 a number?\n\n###\n\n", stop: [" [DONE]"], max_tokens: 8, temperature: 0,
});
console.log(`completion: ${completion.choices[0].finish_reason}, ${completion.usage.completion_tokens} tokens`);

const messages = [{ role: "user", content: "Is 3 a number?" }];
const chat = await client.chat.completions.create({ model: tuned, messages, max_completion_tokens: 8, temperature: 0 });
let streamed = "";
const stream = await client.chat.completions.create({
  model: tuned, messages, max_completion_tokens: 8, temperature: 0, stream: true, stream_options: { include_usage: true },
});
let usage;
for await (const chunk of stream) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}
console.log(`streamed the same: ${streamed === chat.choices[0].message.content}, ${usage.completion_tokens} tokens`);

const names = [];
for await (const one of client.models.list()) names.push(one.id);
console.log(`listed: ${names.includes(tuned)}`);
console.log(`deleted: ${(await client.models.delete(tuned)).deleted}, ${(await client.files.delete(file.id)).deleted}`);
try {
  await client.models.retrieve(tuned);
} catch (error) {
  console.log(`afterwards: ${error.constructor.name} ${error.status} ${error.code}`);
}
